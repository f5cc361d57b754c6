/**
 * One error class for each decision, and one table that says what the decision is.
 *
 * Guarantees: every error that crosses a module's border is one of these, carries what was tried on which
 * object in its message and the original in `cause`. `policyOf` is the only place that turns an error into
 * retry, log level and condition reason. Nothing here ever holds a secret value.
 */
abstract class CloudletError extends Error {
  abstract override readonly name: string;
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** The input is wrong and stays wrong until a person changes it. Not retried. */
export class TerminalError extends CloudletError {
  override readonly name = 'TerminalError';
  /** CamelCase, fit for a condition's reason. */
  readonly reason: string;
  constructor(reason: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

/** Something else has to happen first; look again after `afterMs`. Not a failure. */
export class WaitingError extends CloudletError {
  override readonly name = 'WaitingError';
  readonly reason: string;
  readonly afterMs: number;
  constructor(reason: string, message: string, afterMs: number, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
    this.afterMs = afterMs;
  }
}

/** Somebody else changed the object first; read again and retry. */
export class ConflictError extends CloudletError {
  override readonly name = 'ConflictError';
}

/** The object does not exist. */
export class NotFoundError extends CloudletError {
  override readonly name = 'NotFoundError';
}

/** The caller may not do this (401 or 403), or an admission rule refused it. */
export class ForbiddenError extends CloudletError {
  override readonly name = 'ForbiddenError';
}

/** The API server said the object is invalid (400 or 422); its message names the field. */
export class InvalidError extends CloudletError {
  override readonly name = 'InvalidError';
  /** What the server found wrong, field by field, where it said so. */
  readonly causes: readonly { readonly field: string; readonly message: string }[];
  constructor(message: string, options: { cause?: unknown; causes?: InvalidError['causes'] } = {}) {
    super(message, options);
    this.causes = options.causes ?? [];
  }
}

/** A resource version or a page token is too old (410); list again. */
export class GoneError extends CloudletError {
  override readonly name = 'GoneError';
}

/** The server asked for patience (429, or 503 with Retry-After). */
export class TooManyRequestsError extends CloudletError {
  override readonly name = 'TooManyRequestsError';
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number, options?: { cause?: unknown }) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Nobody answered: refused, reset, timed out, 5xx. */
export class UnreachableError extends CloudletError {
  override readonly name = 'UnreachableError';
}

/** A call outlived its deadline. */
export class DeadlineError extends CloudletError {
  override readonly name = 'DeadlineError';
}

/** The peer sent what the protocol forbids: a frame too large, an unknown version, no JSON. */
export class ProtocolError extends CloudletError {
  override readonly name = 'ProtocolError';
}

/** A platform refused or failed; `reason` is fit for a condition, `permanent` says whether retry can help. */
export class DriverError extends CloudletError {
  override readonly name = 'DriverError';
  readonly reason: string;
  readonly permanent: boolean;
  /** When the platform shall be asked again, where it knows better than a back-off. */
  readonly retryAfterMs: number | undefined;
  constructor(
    reason: string,
    message: string,
    options: { cause?: unknown; permanent?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.reason = reason;
    this.permanent = options.permanent ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export interface ErrorPolicy {
  /** `backoff`: exponential; `never`: wait for a change; a number: milliseconds. */
  readonly retry: 'backoff' | 'never' | number;
  readonly log: 'debug' | 'info' | 'warn' | 'error';
  /** A condition's reason. */
  readonly reason: string;
  /** Whether an object that hit it should show the message to people. */
  readonly tell: boolean;
}

/** The error table: what to do about an error, whatever it is. */
export function policyOf(error: unknown): ErrorPolicy {
  if (error instanceof TerminalError)
    return { retry: 'never', log: 'info', reason: error.reason, tell: true };
  if (error instanceof WaitingError)
    return { retry: error.afterMs, log: 'debug', reason: error.reason, tell: true };
  if (error instanceof ConflictError)
    return { retry: 'backoff', log: 'debug', reason: 'Conflict', tell: false };
  if (error instanceof NotFoundError)
    return { retry: 'backoff', log: 'debug', reason: 'NotFound', tell: false };
  if (error instanceof GoneError)
    return { retry: 'backoff', log: 'debug', reason: 'Gone', tell: false };
  if (error instanceof TooManyRequestsError)
    return { retry: error.retryAfterMs, log: 'debug', reason: 'TooManyRequests', tell: false };
  if (error instanceof UnreachableError || error instanceof DeadlineError)
    return { retry: 'backoff', log: 'warn', reason: 'Unreachable', tell: true };
  if (error instanceof ForbiddenError)
    return { retry: 'backoff', log: 'error', reason: 'Forbidden', tell: true };
  if (error instanceof InvalidError)
    return { retry: 'backoff', log: 'error', reason: 'Invalid', tell: true };
  if (error instanceof ProtocolError)
    return { retry: 'backoff', log: 'warn', reason: 'ProtocolError', tell: true };
  if (error instanceof DriverError)
    return {
      retry: error.permanent ? 'never' : (error.retryAfterMs ?? 'backoff'),
      log: 'warn',
      reason: error.reason,
      tell: true,
    };
  return { retry: 'backoff', log: 'error', reason: 'InternalError', tell: true };
}

/** One line for people: the message and the chain of causes, without a stack. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  // At most five deep: a chain of causes may bite its own tail.
  for (let depth = 0; current !== undefined && depth < 5; depth++) {
    const message = messageOf(current);
    if (message && !parts.some((part) => part.includes(message))) parts.push(message);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}

function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return typeof thrown === 'string' ? thrown : (JSON.stringify(thrown) ?? typeof thrown);
}
