/**
 * What the API server's refusals mean to us: one error of `runtime/base` for each.
 *
 * Guarantees: the message names verb and object first and then the server's own sentence; `Retry-After` is
 * kept; the field causes of a 422 are kept. Covers HTTP answers and the `Status` objects inside a watch.
 */
import {
  ConflictError,
  ForbiddenError,
  GoneError,
  InvalidError,
  NotFoundError,
  TooManyRequestsError,
  UnreachableError,
} from '../base/index.ts';

/** The parts of metav1.Status that decide. */
export interface ApiStatus {
  readonly code?: number;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: {
    readonly causes?: readonly {
      readonly field?: string;
      readonly message?: string;
      readonly reason?: string;
    }[];
    readonly retryAfterSeconds?: number;
  };
}

const defaultRetryAfterMs = 1_000;
const longestRetryAfterMs = 5 * 60_000;

/** `what` is verb and object, such as `apply AppInst shop/web`. */
export function errorOfStatus(
  what: string,
  code: number,
  status: ApiStatus,
  retryAfter?: string,
): Error {
  const message = `${what}: ${status.message || `the API server answered ${code}`}`;
  switch (code) {
    case 401:
    case 403:
      return new ForbiddenError(message);
    case 404:
      return new NotFoundError(message);
    case 409:
      return new ConflictError(message);
    case 410:
      return new GoneError(message);
    case 429:
      return new TooManyRequestsError(message, retryAfterMs(status, retryAfter));
    case 503:
      return retryAfter === undefined && status.details?.retryAfterSeconds === undefined
        ? new UnreachableError(message)
        : new TooManyRequestsError(message, retryAfterMs(status, retryAfter));
    case 408:
      return new UnreachableError(message);
    case 504:
      return isAhead(status) ? new GoneError(message) : new UnreachableError(message);
    default:
      return code >= 400 && code < 500
        ? new InvalidError(message, { causes: causesOf(status) })
        : new UnreachableError(message);
  }
}

/**
 * A resource version that the server has not reached yet. After a restore of etcd it never may, so it is
 * treated like one that is too old: list again.
 */
function isAhead(status: ApiStatus): boolean {
  return (
    status.details?.causes?.some((cause) => cause.reason === 'ResourceVersionTooLarge') ?? false
  );
}

function causesOf(status: ApiStatus): InvalidError['causes'] {
  return (status.details?.causes ?? []).map((cause) => ({
    field: cause.field ?? '',
    message: cause.message ?? '',
  }));
}

/** Seconds or an HTTP date; at most five minutes, so that a wrong clock cannot silence us. */
function retryAfterMs(status: ApiStatus, header: string | undefined): number {
  const seconds = Number(header ?? status.details?.retryAfterSeconds ?? NaN);
  const ms = Number.isFinite(seconds)
    ? seconds * 1_000
    : header
      ? Date.parse(header) - Date.now()
      : NaN;
  if (!Number.isFinite(ms)) return defaultRetryAfterMs;
  return Math.min(longestRetryAfterMs, Math.max(0, ms));
}

/** Reads a body as a Status, whatever it is. */
export function statusOfBody(text: string): ApiStatus {
  try {
    const body: unknown = JSON.parse(text);
    if (body !== null && typeof body === 'object' && 'message' in body) return body as ApiStatus;
  } catch {
    // A proxy's or a library's plain text is as good a message.
  }
  return { message: text.trim().slice(0, 500) };
}
