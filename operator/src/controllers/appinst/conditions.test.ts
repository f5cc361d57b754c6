import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst, AppInstStatus, Cloudlet, Condition } from '@cloudlet/crds';
import { aCloudlet, aCondition, anAppInst, anAppSpec, anEntry, someTime } from '../../builders.ts';
import { type Result, statusOf } from './conditions.ts';
import type { Rollout } from './rollout.ts';

const now = Date.parse('2026-01-01T01:00:00Z');
const rollout: Rollout = { revision: 'web-1', sequence: 5, generation: 1 };
const spec = anAppSpec({
  ports: [
    { name: 'http', protocol: 'HTTP', port: 80 },
    { name: 'peer', protocol: 'TCP', port: 90, internalOnly: true },
  ],
});
const entry = anEntry({
  sequence: 5,
  ports: [{ name: 'http', protocol: 'TCP', port: 80, publicPort: 10_001 }],
});
const site = (conditions: Condition[]): Cloudlet =>
  aCloudlet({
    spec: { loadBalancer: { addresses: ['a.example', 'b.example'] } },
    status: { conditions },
  });
const seen = site([aCondition('Connected', 'True', 'Connected')]);
const lost = site([aCondition('Connected', 'False', 'SiteUnreachable')]);
const blind = site([aCondition('Connected', 'Unknown', 'HubUnavailable')]);
const fresh = site([aCondition('Connected', 'False', 'NeverConnected')]);
const deployed = aCondition('Deployed', 'True', 'Deployed');
const healthy = aCondition('Healthy', 'True', 'Healthy', 'all well');
const report = (conditions: Condition[], placement = 5): AppInstStatus => ({
  conditions,
  rollout,
  site: { uid: 'uid-web', boot: 'b', sequence: 1, placement },
});
const result = (
  more: {
    status?: AppInstStatus;
    spec?: Partial<AppInst['spec']>;
    cloudlet?: Cloudlet;
  } & Partial<Result> = {},
): Result => ({
  appInst: anAppInst({ spec: more.spec ?? {}, ...(more.status ? { status: more.status } : {}) }),
  id: 'id-web',
  now,
  placed: { name: 'edge1', cloudlet: more.cloudlet ?? seen, entry, spec },
  rollout,
  ...more,
});
const told = (of: Result, type: string): readonly (string | undefined)[] => {
  const condition = statusOf(of).conditions?.find((one) => one.type === type);
  return [condition?.status, condition?.reason, condition?.message];
};

const cases: readonly (readonly [string, Result, readonly string[]])[] = [
  [
    'is placed at a site that has not connected',
    result({ cloudlet: fresh }),
    ['False', 'WaitingForSite', 'The site has not connected yet.'],
  ],
  [
    'waits for the first word',
    result(),
    ['False', 'WaitingForSite', 'The site has not answered yet.'],
  ],
  ['works', result({ status: report([deployed, healthy]) }), ['True', 'Ready', 'all well']],
  [
    'is being deployed',
    result({ status: report([aCondition('Deployed', 'False', 'Progressing', 'pulling')]) }),
    ['False', 'Progressing', 'pulling'],
  ],
  [
    'starts',
    result({ status: report([deployed, aCondition('Healthy', 'False', 'Starting', 'wait')]) }),
    ['False', 'Starting', 'wait'],
  ],
  [
    'is at a site without a leader',
    result({
      status: report([deployed, aCondition('Healthy', 'Unknown', 'QuorumLost', 'no leader')]),
    }),
    ['Unknown', 'QuorumLost', 'no leader'],
  ],
  [
    'is lost with its site',
    result({ cloudlet: lost, status: report([deployed, healthy]) }),
    ['Unknown', 'SiteUnreachable', `The site is unreachable since ${someTime}.`],
  ],
  [
    'works while the hubs are gone',
    result({ cloudlet: blind, status: report([deployed, healthy]) }),
    ['True', 'Ready', 'all well'],
  ],
  [
    'is off',
    result({ spec: { powerState: 'Off' }, status: report([deployed]) }),
    ['False', 'PoweredOff', 'It is switched off: spec.powerState is Off.'],
  ],
  [
    'is suspended while it runs',
    result({ spec: { suspend: true }, status: report([deployed, healthy]) }),
    ['True', 'Suspended', 'It runs, and is left as it is.'],
  ],
  [
    'was suspended before it was placed',
    result({ spec: { suspend: true }, placed: undefined }),
    ['False', 'Suspended', 'It is suspended before it was placed.'],
  ],
  [
    'cannot be placed',
    result({ placed: undefined, refusal: { reason: 'NoSiteFits', message: 'none' } }),
    ['False', 'NoSiteFits', 'none'],
  ],
  [
    'runs though its new spec is refused',
    result({
      refusal: { reason: 'FlavorNotFound', message: 'no' },
      status: report([deployed, healthy]),
    }),
    ['True', 'Ready', 'all well'],
  ],
  [
    'serves on during an update',
    result({
      rollout: { ...rollout, sequence: 6, lastHealthy: 'web-0' },
      status: report([deployed, healthy]),
    }),
    ['True', 'Progressing', 'What ran before an update serves on.'],
  ],
  [
    'serves on while an update cannot be deployed',
    result({
      rollout: { ...rollout, lastHealthy: 'web-0' },
      status: report([aCondition('Deployed', 'False', 'DeployFailed', 'x'), healthy]),
    }),
    ['True', 'Progressing', 'What ran before an update serves on.'],
  ],
  [
    'its site rolled back',
    result({
      rollout: { ...rollout, lastHealthy: 'web-1' },
      status: report([aCondition('Deployed', 'False', 'RolledBack', 'web: exit 1.'), healthy]),
    }),
    ['True', 'RolledBack', 'What ran before an update serves on. web: exit 1.'],
  ],
  [
    'its site rolled back from an earlier plan',
    result({
      rollout: { ...rollout, sequence: 6, lastHealthy: 'web-1' },
      status: report([aCondition('Deployed', 'False', 'RolledBack', 'web: exit 1.'), healthy]),
    }),
    ['True', 'Progressing', 'What ran before an update serves on.'],
  ],
  [
    'was rolled back',
    result({
      rollout: { ...rollout, lastHealthy: 'web-1', failed: 'web-2', failedMessage: 'no image' },
      status: report([deployed, healthy]),
    }),
    ['True', 'RolledBack', 'Revision web-2 failed (no image); web-1 runs.'],
  ],
  [
    'is going',
    result({ removal: { reason: 'Removing', message: 'wait' } }),
    ['False', 'Removing', 'wait'],
  ],
];
for (const [title, of, expected] of cases)
  test(`Ready of an instance that ${title}`, () => assert.deepEqual(told(of, 'Ready'), expected));

test('what is under way shows as Reconciling, and as nothing when it is done', () => {
  assert.equal(told(result(), 'Reconciling')[0], 'True');
  assert.equal(told(result({ status: report([deployed, healthy]) }), 'Reconciling')[0], undefined);
  const refused = result({ refusal: { reason: 'X', message: '' } });
  assert.equal(told(refused, 'Reconciling')[0], undefined, 'a refusal is not under way');
});

test('every address answers under every public port, ready as the instance is', () => {
  const status = statusOf(result({ status: report([deployed, healthy]) }));
  assert.deepEqual(status.endpoints, [
    { port: 'http', host: 'a.example', publicPort: 10_001, ready: true },
    { port: 'http', host: 'b.example', publicPort: 10_001, ready: true },
  ]);
  assert.equal(status.uri, 'http://a.example:10001');
  const away = statusOf(result({ cloudlet: lost, status: report([deployed, healthy]) }));
  assert.deepEqual(
    away.endpoints?.map(({ ready }) => ready),
    [false, false],
  );
  assert.equal(away.uri, undefined);
});

test('a port whose load balancer has no backend is not ready', () => {
  const status = { ...report([deployed, healthy]), backends: [{ port: 'http', up: 0, total: 2 }] };
  assert.equal(statusOf(result({ status })).endpoints?.[0]?.ready, false);
});

test('a condition keeps its time while its status stays, though its reason changes', () => {
  const before = aCondition('Ready', 'False', 'WaitingForSite');
  const time = (of: Result): string | undefined =>
    statusOf(of).conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  const starting = aCondition('Healthy', 'False', 'Starting');
  assert.equal(time(result({ status: report([before, deployed, starting]) })), someTime);
  assert.equal(
    time(result({ status: report([before, deployed, healthy]) })),
    '2026-01-01T01:00:00Z',
  );
});

test('no message of a condition names the site', () => {
  for (const [, of] of cases)
    for (const { message } of statusOf(of).conditions ?? [])
      assert.ok(!message.includes('edge1'), message);
});
