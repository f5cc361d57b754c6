import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst, AppInstStatus, Condition } from '@cloudlet/crds';
import { aCloudlet, aCondition, anAppInst, anAppSpec, anEntry, someTime } from '../../builders.ts';
import { stallsInMs } from '../../stalled.ts';
import { type Result, statusOf } from './conditions.ts';
import { type Rollout, rolloutVerdict } from './rollout.ts';
import { obstacleOf } from './stalled.ts';

const start = Date.parse(someTime);
const rollout: Rollout = { revision: 'web-1', sequence: 5, generation: 1, startedAt: someTime };
const spec = anAppSpec();
const deployed = aCondition('Deployed', 'True', 'Deployed');
const healthy = aCondition('Healthy', 'True', 'Healthy', 'all well');
const sick = aCondition('Healthy', 'False', 'Unhealthy', 'no answer');
const missing = aCondition('Deployed', 'False', 'ImageNotFound', 'no such image');

const said = (conditions: readonly Condition[], of: Rollout = rollout): AppInstStatus => ({
  conditions: [...conditions],
  rollout: of,
  site: { uid: 'uid-web', boot: 'b', sequence: 1, placement: of.sequence },
});

interface Case {
  readonly status?: AppInstStatus;
  readonly spec?: Partial<AppInst['spec']>;
  /** Since the roll-out began. */
  readonly seconds?: number;
  readonly more?: Partial<Result>;
}

function result({ status, spec: wanted = {}, seconds = 1, more }: Case): Result {
  const now = start + seconds * 1000;
  const appInst = anAppInst({ spec: wanted, ...(status ? { status } : {}) });
  const cloudlet = aCloudlet({
    status: { conditions: [aCondition('Connected', 'True', 'Connected')] },
  });
  const verdict = rolloutVerdict({ appInst, spec, connectedSince: start, now });
  const placed = { name: 'edge1', cloudlet, entry: anEntry({ sequence: 5 }), spec };
  const of = status?.rollout ?? rollout;
  return { appInst, id: 'id-web', now, placed, rollout: of, verdict, ...more };
}

/** Reason and message of Stalled; the status says Reconciling only where it says no such thing. */
function stalled(of: Case): readonly string[] | undefined {
  const { conditions = [] } = statusOf(result(of));
  const condition = conditions.find(({ type }) => type === 'Stalled');
  const isReconciling = conditions.some(({ type }) => type === 'Reconciling');
  assert.ok(!(condition && isReconciling), 'both Stalled and Reconciling');
  assert.notEqual(condition?.status, 'False');
  return condition && [condition.reason, condition.message];
}

const refusal = (reason: string): Partial<Result> => ({
  refusal: { reason, message: 'why' },
  placed: undefined,
  rollout: undefined,
  verdict: undefined,
});
const refusedSince = (): AppInstStatus => ({
  conditions: [aCondition('Accepted', 'False', 'X')],
});

test('an instance on its way is never stalled, however each of its steps looks', () => {
  const steps: readonly Case[] = [
    { more: { rollout: undefined, verdict: undefined } },
    {},
    { status: said([aCondition('Deployed', 'False', 'Progressing', 'pulling')]), seconds: 299 },
    { status: said([aCondition('Deployed', 'False', 'DeployFailed', 'once')]), seconds: 299 },
    { status: said([deployed, sick]), seconds: 299 },
    { status: said([deployed, aCondition('Healthy', 'False', 'Starting')]), seconds: 299 },
    { status: said([deployed, healthy]), seconds: 9999 },
    { more: refusal('WaitingForSite'), status: refusedSince(), seconds: 9999 },
    { more: refusal('Progressing'), status: refusedSince(), seconds: 9999 },
  ];
  for (const step of steps) assert.equal(stalled(step), undefined, JSON.stringify(step));
});

test('an image that is not there is told at once, in the words of the site', () => {
  assert.deepEqual(stalled({ status: said([missing]) }), ['ImageNotFound', 'no such image']);
});

test('what is not healthy within its time is told with what was missing', () => {
  assert.deepEqual(stalled({ status: said([deployed, sick]), seconds: 301 }), [
    'RolloutFailed',
    'Not healthy within 300 s (Unhealthy: no answer).',
  ]);
});

test('what was rolled back is told, though it serves', () => {
  const of = { ...rollout, lastHealthy: 'web-1', failed: 'web-2', failedMessage: 'no image' };
  const { conditions = [] } = statusOf(result({ status: said([deployed, healthy], of) }));
  assert.equal(conditions.find(({ type }) => type === 'Ready')?.status, 'True');
  assert.deepEqual(stalled({ status: said([deployed, healthy], of) }), [
    'RolledBack',
    'Revision web-2 failed (no image); web-1 runs.',
  ]);
});

test('what the site rolled back has the time of a roll-out, and is told with the reason after it', () => {
  const back = aCondition('Deployed', 'False', 'RolledBack', 'web: exit 1');
  const status = said([back, healthy], { ...rollout, lastHealthy: 'web-1' });
  assert.equal(stalled({ status, seconds: 299 }), undefined);
  assert.deepEqual(stalled({ status, seconds: 301 }), ['RolledBack', 'web: exit 1']);
  const again = aCondition('Deployed', 'False', 'Progressing', 'updating');
  const trying = said([again, healthy], { ...rollout, lastHealthy: 'web-1' });
  assert.equal(stalled({ status: trying, seconds: 301 }), undefined, 'while it tries again');
});

test('a failure of the plan before says nothing of the one that is pinned now', () => {
  const more = { rollout: { ...rollout, sequence: 6, revision: 'web-2' } };
  assert.equal(stalled({ status: said([missing]), more }), undefined);
});

test('what had been healthy has the time of a roll-out to become so again', () => {
  const healed = { ...rollout, lastHealthy: 'web-1' };
  const fell = new Date(start + 3600_000).toISOString();
  const notReady = { ...aCondition('Ready', 'False', 'Unhealthy'), lastTransitionTime: fell };
  const status = said([notReady, deployed, sick], healed);
  assert.equal(stalled({ status, seconds: 3600 + 299 }), undefined);
  assert.equal(stalled({ status, seconds: 3600 + 301 })?.[0], 'RolloutFailed');
});

const refusals: readonly (readonly [reason: string, seconds: number])[] = [
  ['InvalidSpec', 10],
  ['UnknownTemplate', 10],
  ['AppNotFound', 60],
  ['FlavorNotFound', 60],
  ['SecretNotFound', 60],
  ['NoSiteFits', 300],
  ['PortsExhausted', 300],
];
for (const [reason, seconds] of refusals)
  test(`${reason} is told after ${seconds} s, and looked for then`, () => {
    const at = (after: number): Case => ({
      more: refusal(reason),
      status: refusedSince(),
      seconds: after,
    });
    assert.equal(stalled({ more: refusal(reason), seconds: 9999 }), undefined, 'it is new');
    assert.equal(stalled(at(seconds - 1)), undefined);
    assert.equal(
      stallsInMs(obstacleOf(result(at(seconds - 1))), start + (seconds - 1) * 1000),
      1000,
    );
    assert.deepEqual(stalled(at(seconds)), [reason, 'why']);
    assert.equal(
      stallsInMs(obstacleOf(result(at(seconds))), start + seconds * 1000),
      undefined,
      'nothing left to look for',
    );
  });

test('a refused change of what runs is told as well', () => {
  const accepted = aCondition('Accepted', 'False', 'FlavorNotFound');
  const more = { refusal: { reason: 'FlavorNotFound', message: 'no' } };
  const status = said([accepted, deployed, healthy]);
  assert.deepEqual(stalled({ status, more, seconds: 60 }), ['FlavorNotFound', 'no']);
});

test('what is off, suspended or cut off needs nobody', () => {
  const status = said([deployed, sick]);
  const long = { status, seconds: 9999 };
  assert.equal(stalled({ ...long, spec: { powerState: 'Off' } }), undefined);
  assert.equal(stalled({ ...long, spec: { suspend: true } }), undefined);
  const away = aCloudlet({
    status: { conditions: [aCondition('Connected', 'False', 'SiteUnreachable')] },
  });
  const placed = { name: 'edge1', cloudlet: away, entry: anEntry({ sequence: 5 }), spec };
  const verdict = rolloutVerdict({
    appInst: anAppInst({ status }),
    spec,
    connectedSince: undefined,
    now: start,
  });
  assert.equal(stalled({ ...long, more: { placed, verdict } }), undefined);
});
