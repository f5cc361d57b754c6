/** metav1.Status: how every refusal and every end of a session is told. Pure. */
import {
  ConflictError,
  DeadlineError,
  describeError,
  ForbiddenError,
  InvalidError,
  NotFoundError,
  ProtocolError,
  TooManyRequestsError,
  UnreachableError,
} from '@cloudlet/runtime/base';
import type { SessionExit } from '@cloudlet/tunnel';

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: object;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes: readonly { reason: string; message: string }[] };
  readonly code?: number;
}

const base = { kind: 'Status', apiVersion: 'v1', metadata: {} } as const;

const classes = [
  [NotFoundError, 404, 'NotFound'],
  [ForbiddenError, 403, 'Forbidden'],
  [InvalidError, 400, 'BadRequest'],
  [ProtocolError, 400, 'BadRequest'],
  [ConflictError, 409, 'Conflict'],
  [TooManyRequestsError, 429, 'TooManyRequests'],
  [DeadlineError, 504, 'Timeout'],
  [UnreachableError, 503, 'ServiceUnavailable'],
] as const;

export function statusOfError(error: unknown): Status & { readonly code: number } {
  const [, code = 500, reason = 'InternalError'] =
    classes.find(([type]) => error instanceof type) ?? [];
  return { ...base, status: 'Failure', message: describeError(error), reason, code };
}

/** As the remote command protocol tells the end of a program. */
export function statusOfExit(exit: SessionExit): Status {
  if ('reason' in exit)
    return {
      ...base,
      status: 'Failure',
      reason: 'InternalError',
      message: exit.reason,
      code: 500,
    };
  if (exit.code === 0) return { ...base, status: 'Success' };
  return {
    ...base,
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with exit code ${exit.code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exit.code) }] },
  };
}
