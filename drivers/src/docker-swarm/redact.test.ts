import assert from 'node:assert/strict';
import test from 'node:test';
import type { Plan } from '@cloudlet/crds';
import { DriverError } from '@cloudlet/runtime/base';
import { withoutSecrets } from './redact.ts';

const plan = {
  secretEnv: { TOKEN: 'sesame', LONGER: 'sesame-open' },
  registryAuth: { 'registry.example': Buffer.from('user:pass-word').toString('base64') },
} as unknown as Plan;

test('secrets are hidden in messages and causes, the reason stays', () => {
  const cause = new Error('bad value sesame-open');
  const error = withoutSecrets(
    new DriverError('InvalidSpec', 'env TOKEN=sesame, pass-word', { cause, permanent: true }),
    plan,
  );
  assert.ok(error instanceof DriverError);
  assert.equal(error.reason, 'InvalidSpec');
  assert.equal(error.permanent, true);
  assert.equal(error.message, 'env TOKEN=***, ***');
  assert.equal(error.cause, undefined);
});

test('when a failure that quotes a secret is tried again stays known', () => {
  const error = withoutSecrets(
    new DriverError('RolledBack', 'sesame', { retryAfterMs: 5_000 }),
    plan,
  );
  assert.ok(error instanceof DriverError);
  assert.deepEqual([error.message, error.retryAfterMs], ['***', 5_000]);
});

test('an error without secrets is left as it is', () => {
  const error = new DriverError('InvalidSpec', 'no such thing');
  assert.equal(withoutSecrets(error, plan), error);
});
