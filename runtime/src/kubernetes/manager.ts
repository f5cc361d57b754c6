/**
 * Runs the parts of a process and ends them in order.
 *
 * Expected flow: informers run on every replica, so that a standby's caches are warm; controllers start when
 * the caches are full and, with an election, when it is our turn. On the signal: controllers take no more work
 * and drain, informers stop, the Lease is released, what `close` names is closed.
 *
 * Guarantees: a part that fails or a lost leadership ends all of them, and `runManager` throws that first error;
 * the whole shutdown takes `graceMs` at most. Services run without leadership.
 */
import { type Clock, type Logger, TerminalError, withDeadline } from '../base/index.ts';
import type { LeaderElection } from './election.ts';
import type { Controller, Informer, KubernetesObject } from './types.ts';

export interface Service {
  readonly name: string;
  /** Runs until the signal aborts and what it has begun is finished. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ManagerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly informers: readonly Pick<Informer<KubernetesObject>, 'type' | 'run' | 'synced'>[];
  /** Need the caches and, with an election, leadership. */
  readonly controllers?: readonly Controller[];
  /** Need the caches only. */
  readonly services?: readonly Service[];
  readonly election?: Pick<LeaderElection, 'run'>;
  /** Called last, in order: servers, recorders, the client. */
  readonly close?: readonly (() => Promise<void>)[];
  /** @default 30_000 */
  readonly graceMs?: number;
  /** How long the first lists may take. @default 120_000 */
  readonly syncTimeoutMs?: number;
}

/** Resolves after an orderly shutdown; rejects with the first failure, after as orderly a one as it allows. */
export async function runManager(options: ManagerOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger, graceMs = 30_000 } = options;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  let failure: Error | undefined;
  const fail = (error: unknown): void => {
    if (failure === undefined && !stop.signal.aborted) {
      failure = error as Error;
      logger.error('a part failed, shutting down', { error });
    }
    stop.abort(error);
  };
  const running = runParts(options, stop.signal, fail);
  await aborted(stop.signal);
  logger.info('shutting down');
  try {
    await withDeadline('shutdown', graceMs, clock, () => running);
  } catch (error) {
    failure ??= error as Error;
  }
  signal.removeEventListener('abort', onAbort);
  for (const close of options.close ?? [])
    await withDeadline('close', 5_000, clock, close).catch((error: unknown) =>
      logger.warn('a part did not close', { error }),
    );
  if (failure) throw failure;
}

/** Never rejects; resolves when all parts have ended after `signal`. */
async function runParts(
  options: ManagerOptions,
  signal: AbortSignal,
  fail: (error: unknown) => void,
): Promise<void> {
  const { informers, controllers = [], services = [], election } = options;
  const sources = new AbortController();
  const feeding = informers.map((informer) =>
    guard(
      `informer of ${informer.type.plural}`,
      () => informer.run(sources.signal),
      sources.signal,
      fail,
    ),
  );
  const control = async (leading: AbortSignal): Promise<void> => {
    await Promise.all(
      controllers.map((each) => guard(each.name, () => each.run(leading), leading, fail)),
    );
  };
  try {
    await waitForCaches(options, signal);
    await Promise.all([
      ...services.map((each) => guard(each.name, () => each.run(signal), signal, fail)),
      election
        ? guard('election', () => election.run(signal, control), signal, fail)
        : control(signal),
    ]);
  } catch (error) {
    fail(error);
  } finally {
    // Last, so that what drains still reads a live cache; the controllers' queues are closed by then.
    sources.abort();
    await Promise.all(feeding);
  }
}

/** A part that ends before it was asked to has failed. */
async function guard(
  name: string,
  run: () => Promise<void>,
  signal: AbortSignal,
  fail: (error: unknown) => void,
): Promise<void> {
  try {
    await run();
    if (!signal.aborted) fail(new TerminalError('PartEnded', `${name} ended by itself`));
  } catch (error) {
    fail(error);
  }
}

async function waitForCaches(options: ManagerOptions, signal: AbortSignal): Promise<void> {
  const { informers, clock, syncTimeoutMs = 120_000 } = options;
  await withDeadline(
    'the first lists',
    syncTimeoutMs,
    clock,
    (deadline) => Promise.all(informers.map((informer) => informer.synced(deadline))),
    signal,
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
}
