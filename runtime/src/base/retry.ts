/**
 * The one back-off and the one retry loop.
 *
 * Guarantees: delays grow by a factor of two up to `maxMs`, with full jitter on request; a retry loop stops
 * at once when its signal aborts and never retries what `policyOf` calls `never`.
 */
import type { Clock } from './clock.ts';
import { DeadlineError, policyOf } from './errors.ts';

/** A number in [0, 1). */
export type Random = () => number;

export interface BackoffOptions {
  /** First delay in milliseconds. @default 5 */
  readonly baseMs?: number;
  /** Longest delay in milliseconds. @default 1_000_000 */
  readonly maxMs?: number;
  /** Share of the delay that is random: 0 is none, 1 is all of it. @default 0 */
  readonly jitter?: number;
}

/** The delay before try number `attempt` (0 is the first retry), in milliseconds. */
export function backoffMs(
  attempt: number,
  options: BackoffOptions = {},
  random: Random = Math.random,
): number {
  const { baseMs = 5, maxMs = 1_000_000, jitter = 0 } = options;
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 40));
  return full * (1 - jitter) + full * jitter * random();
}

export interface RetryOptions extends BackoffOptions {
  readonly clock: Clock;
  readonly random?: Random;
  readonly signal?: AbortSignal;
  /** Tries in all. @default Infinity */
  readonly attempts?: number;
  /** Told of each failure that will be retried. */
  readonly onRetry?: (error: unknown, delayMs: number) => void;
}

/**
 * Runs `action` until it succeeds.
 * @throws the last error when tries run out, when policy says never, or the signal's reason.
 */
export async function retry<T>(
  action: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await action(attempt);
    } catch (error) {
      options.signal?.throwIfAborted();
      const policy = policyOf(error);
      if (policy.retry === 'never' || attempt + 1 >= (options.attempts ?? Infinity)) throw error;
      const delayMs =
        typeof policy.retry === 'number'
          ? policy.retry
          : backoffMs(attempt, options, options.random);
      options.onRetry?.(error, delayMs);
      await options.clock.sleep(delayMs, options.signal);
    }
  }
}

/**
 * Runs `action` with a signal that aborts after `ms` or with the outer signal.
 * @throws DeadlineError naming `what` when the time ran out.
 */
export async function withDeadline<T>(
  what: string,
  ms: number,
  clock: Clock,
  action: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const timer = clock.after(ms, () =>
    // Made only when it is needed: the trace of an error costs more than all else here.
    controller.abort(new DeadlineError(`${what}: no answer within ${ms} ms`)),
  );
  const onAbort = (): void => controller.abort(outer?.reason);
  outer?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([
      action(controller.signal),
      new Promise<never>((_, reject) => {
        controller.signal.addEventListener(
          'abort',
          () => reject(controller.signal.reason as Error),
          {
            once: true,
          },
        );
      }),
    ]);
  } finally {
    timer.cancel();
    outer?.removeEventListener('abort', onAbort);
  }
}
