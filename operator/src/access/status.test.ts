import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineError, NotFoundError, UnreachableError } from '@cloudlet/runtime/base';
import { Quota } from './quota.ts';
import { trustOf } from './front-proxy.ts';
import { statusOfError, statusOfExit } from './status.ts';

test('an error becomes the HTTP status that a caller can act on', () => {
  const codeOf = (error: unknown): number => statusOfError(error).code;
  assert.equal(codeOf(new NotFoundError('')), 404);
  assert.equal(codeOf(new UnreachableError('')), 503);
  assert.equal(codeOf(new DeadlineError('')), 504);
  assert.equal(codeOf(new Error('odd')), 500);
});

test('the end of a program is told as kubectl understands it', () => {
  assert.equal(statusOfExit({ code: 0 }).status, 'Success');
  const failed = statusOfExit({ code: 7 });
  assert.equal(failed.reason, 'NonZeroExitCode');
  assert.deepEqual(failed.details?.causes, [{ reason: 'ExitCode', message: '7' }]);
  assert.equal(statusOfExit({ reason: 'lost' }).message, 'lost');
});

test('places are given back once, and counted by user and in all', () => {
  const quota = new Quota({ perUser: 2, total: 3 });
  const back = quota.take('ann');
  quota.take('ann');
  assert.throws(() => quota.take('ann'), /as many as a user may have/);
  quota.take('bob');
  assert.throws(() => quota.take('eve'), /as many sessions as it may/);
  back();
  back();
  assert.equal(quota.total, 2);
  quota.take('ann');
  assert.equal(quota.total, 3);
});

test('whom to trust is read from what Kubernetes publishes', () => {
  const data = {
    'requestheader-client-ca-file': 'PEM',
    'requestheader-allowed-names': '["front-proxy-client"]',
    'requestheader-username-headers': '["X-Remote-User"]',
    'requestheader-group-headers': '["X-Remote-Group"]',
  };
  assert.deepEqual(trustOf(data), {
    ca: 'PEM',
    allowedNames: ['front-proxy-client'],
    userHeaders: ['X-Remote-User'],
    groupHeaders: ['X-Remote-Group'],
  });
  assert.throws(() => trustOf({}), /publishes no authority/);
  assert.throws(() => trustOf(undefined), /publishes no authority/);
});
