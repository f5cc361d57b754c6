import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConflictError,
  DeadlineError,
  DriverError,
  ForbiddenError,
  GoneError,
  InvalidError,
  NotFoundError,
  ProtocolError,
  TerminalError,
  TooManyRequestsError,
  UnreachableError,
  WaitingError,
  describeError,
  policyOf,
} from './errors.ts';

const table = [
  [new TerminalError('InvalidSpec', 'm'), 'never', 'InvalidSpec', true],
  [new WaitingError('NoSite', 'm', 500), 500, 'NoSite', true],
  [new ConflictError('m'), 'backoff', 'Conflict', false],
  [new NotFoundError('m'), 'backoff', 'NotFound', false],
  [new GoneError('m'), 'backoff', 'Gone', false],
  [new TooManyRequestsError('m', 2_000), 2_000, 'TooManyRequests', false],
  [new UnreachableError('m'), 'backoff', 'Unreachable', true],
  [new DeadlineError('m'), 'backoff', 'Unreachable', true],
  [new ForbiddenError('m'), 'backoff', 'Forbidden', true],
  [new InvalidError('m'), 'backoff', 'Invalid', true],
  [new ProtocolError('m'), 'backoff', 'ProtocolError', true],
  [new DriverError('ImagePullFailed', 'm'), 'backoff', 'ImagePullFailed', true],
  [new DriverError('NoSuchImage', 'm', { permanent: true }), 'never', 'NoSuchImage', true],
  [new DriverError('RolledBack', 'm', { retryAfterMs: 2_000 }), 2_000, 'RolledBack', true],
  [new RangeError('a bug'), 'backoff', 'InternalError', true],
  ['thrown text', 'backoff', 'InternalError', true],
] as const;

for (const [error, retry, reason, tell] of table) {
  const name = error instanceof Error ? error.name : typeof error;
  test(`the policy for ${name} (${reason}) is ${retry}`, () => {
    const policy = policyOf(error);
    assert.deepEqual(
      { retry: policy.retry, reason: policy.reason, tell: policy.tell },
      { retry, reason, tell },
    );
  });
}

test('an error is described by its chain of causes, each sentence once', () => {
  const root = new Error('connect ECONNREFUSED');
  const middle = new UnreachableError('hub does not answer', { cause: root });
  assert.equal(
    describeError(new UnreachableError('apply AppInst shop/web', { cause: middle })),
    'apply AppInst shop/web: hub does not answer: connect ECONNREFUSED',
  );
  const repeats = new Error('outer says inner', { cause: new Error('inner') });
  assert.equal(describeError(repeats), 'outer says inner');
});

test('what is no error is described too', () => {
  assert.equal(describeError('text'), 'text');
  assert.equal(describeError({ code: 5 }), '{"code":5}');
});

test('a chain of causes that bites its tail ends', () => {
  const error = new Error('loop');
  error.cause = error;
  assert.equal(describeError(error), 'loop');
});
