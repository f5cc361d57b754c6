import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '@cloudlet/crds';
import { DriverError } from '@cloudlet/runtime/base';
import { desiredStack } from './stack.ts';

const planOf = (volume: string, hostPaths?: string[], volumes = '{}'): Plan => ({
  id: 'abcde-1',
  sequence: 1,
  object: { namespace: 'default', name: 'web', uid: 'abcde-1', generation: 1 },
  cloudlet: 'phones',
  app: { name: 'web', version: '1', revision: 'web-1' },
  workload: {
    kind: 'Compose',
    compose: `services: {a: {image: web, volumes: ['${volume}']}}\nvolumes: ${volumes}`,
  },
  ...(hostPaths ? { hostPaths } : {}),
});
const make = (plan: Plan) => () => desiredStack(plan, { stack: 'web-abcde', ipvs: true });

test('a path of the node is refused by name, with the field that would allow it', () => {
  assert.throws(make(planOf('/srv/data:/data')), (error) => {
    assert.ok(error instanceof DriverError && error.permanent);
    assert.equal(error.reason, 'HostPathNotAllowed');
    assert.match(
      error.message,
      /^services\.a\.volumes: \/srv\/data .*spec\.dockerSwarm\.hostPaths/,
    );
    return true;
  });
});

test('what is allowed, and what lies in it, may be mounted', () => {
  assert.doesNotThrow(make(planOf('/srv/data:/data', ['/srv/data'])));
  assert.doesNotThrow(make(planOf('/srv/data/shop:/data', ['/srv/data/'])));
  assert.doesNotThrow(make(planOf('/etc:/etc', ['/'])));
});

test('a name that only begins alike, or leads out of it, is not within', () => {
  assert.throws(make(planOf('/srv/data2:/data', ['/srv/data'])), /data2/);
  assert.throws(make(planOf('/srv/data/../key:/data', ['/srv/data'])), /\/srv\/key/);
});

test('a volume that binds a path of the node is one, too; another is none', () => {
  const bind = '{disk: {driver: local, driver_opts: {type: none, o: bind, device: /srv/data}}}';
  assert.throws(make(planOf('disk:/data', undefined, bind)), /\/srv\/data/);
  assert.doesNotThrow(make(planOf('disk:/data', ['/srv'], bind)));
  assert.doesNotThrow(make(planOf('disk:/data', undefined, '{disk: {}}')));
  const nfs = "{disk: {driver_opts: {type: nfs, o: 'addr=192.0.2.1', device: ':/export'}}}";
  assert.doesNotThrow(make(planOf('disk:/data', undefined, nfs)));
});
