import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst, AppInstStatus, Condition } from '@cloudlet/crds';
import { aCondition, anAppInst, anAppSpec, someTime } from '../../builders.ts';
import {
  chooseRevision,
  parseDuration,
  reportState,
  type Rollout,
  type RolloutVerdict,
  rolloutVerdict,
} from './rollout.ts';

const start = Date.parse(someTime);
const minuteMs = 60_000;
const rollout = (more: Partial<Rollout> = {}): Rollout => ({
  revision: 'web-2',
  sequence: 5,
  generation: 1,
  startedAt: someTime,
  ...more,
});
const reported = (
  conditions: Condition[],
  more: {
    site?: Partial<NonNullable<AppInstStatus['site']>>;
    spec?: Partial<AppInst['spec']>;
    /** That the roll-out was pinned for. */
    generation?: number;
  } = {},
): AppInst =>
  anAppInst({
    spec: more.spec ?? {},
    status: {
      rollout: rollout({ generation: more.generation ?? 1 }),
      conditions,
      site: { uid: 'uid-web', boot: 'b', sequence: 1, placement: 5, ...more.site },
    },
  });
const works = [
  aCondition('Deployed', 'True', 'Deployed'),
  aCondition('Healthy', 'True', 'Healthy'),
];
const starting = [
  aCondition('Deployed', 'True', 'Deployed'),
  aCondition('Healthy', 'False', 'Starting', 'wait'),
];
const noImage = [aCondition('Deployed', 'False', 'ImageNotFound', 'no web:2')];
const verdict = (
  appInst: AppInst,
  more: { now?: number; connectedSince?: number | undefined; updateTimeout?: string } = {},
): RolloutVerdict =>
  rolloutVerdict({
    appInst,
    spec: anAppSpec(more.updateTimeout === undefined ? {} : { updateTimeout: more.updateTimeout }),
    connectedSince: 'connectedSince' in more ? more.connectedSince : start,
    now: more.now ?? start + minuteMs,
  });

test('a report of another object, or of a removal, is none', () => {
  assert.equal(reportState(reported(works, { site: { uid: 'old' } })), 'none');
  assert.equal(reportState(reported(works, { site: { removed: true } })), 'none');
  assert.equal(reportState(anAppInst()), 'none');
});

test('a report of an earlier plan is older', () => {
  assert.equal(reportState(reported(works, { site: { placement: 4 } })), 'older');
  assert.equal(reportState(reported(works)), 'current');
});

const verdicts: readonly (readonly [string, RolloutVerdict, RolloutVerdict])[] = [
  ['deployed and healthy', verdict(reported(works)), { kind: 'Healthy' }],
  [
    'healthy by an older plan',
    verdict(reported(works, { site: { placement: 4 } })),
    { kind: 'Underway' },
  ],
  [
    'what time cannot heal',
    verdict(reported(noImage)),
    { kind: 'Failed', message: 'ImageNotFound: no web:2' },
  ],
  ['starting', verdict(reported(starting)), { kind: 'Underway', deadlineMs: 4 * minuteMs }],
  [
    'starting for longer than the App allows',
    verdict(reported(starting), { updateTimeout: '30s' }),
    { kind: 'Failed', message: 'not healthy within 30 s (Starting: wait)' },
  ],
  [
    'starting at a site that came back a moment ago',
    verdict(reported(starting), {
      now: start + 10 * minuteMs,
      connectedSince: start + 9 * minuteMs,
    }),
    { kind: 'Underway', deadlineMs: 4 * minuteMs },
  ],
  [
    'starting at a site that is lost',
    verdict(reported(starting), { now: start + 60 * minuteMs, connectedSince: undefined }),
    { kind: 'Underway' },
  ],
  [
    'switched off',
    verdict(reported(starting, { spec: { powerState: 'Off' } }), { now: start + 60 * minuteMs }),
    { kind: 'Underway' },
  ],
  [
    'switched on after it was off for longer than the App allows',
    verdict(reported(starting, { generation: 0 }), { now: start + 60 * minuteMs }),
    { kind: 'Underway' },
  ],
];
for (const [title, actual, expected] of verdicts)
  test(`${title} is ${expected.kind}`, () => assert.deepEqual(actual, expected));

const underway: RolloutVerdict = { kind: 'Underway' };
const failed: RolloutVerdict = { kind: 'Failed', message: 'no image' };
const choose = (
  current: string,
  previous: Partial<Rollout> | undefined,
  how: RolloutVerdict = underway,
  spec: Partial<AppInst['spec']> = {},
) =>
  chooseRevision({
    appInst: anAppInst({ spec, ...(previous ? { status: { rollout: rollout(previous) } } : {}) }),
    current,
    verdict: how,
  });
const manual = { rollout: 'Manual' as const };

for (const [title, actual, expected] of [
  ['the first is that of the App', choose('web-1', undefined), { revision: 'web-1' }],
  ['a changed App rolls out', choose('web-3', {}), { revision: 'web-3' }],
  [
    'what was healthy is remembered',
    choose('web-3', {}, { kind: 'Healthy' }),
    { revision: 'web-3', lastHealthy: 'web-2' },
  ],
  ['the first stays when it fails', choose('web-2', {}, failed), { revision: 'web-2' }],
  [
    'a failed one returns to the last healthy one',
    choose('web-2', { lastHealthy: 'web-1' }, failed),
    { revision: 'web-1', lastHealthy: 'web-1', failed: 'web-2', failedMessage: 'no image' },
  ],
  [
    'a failed one is not tried again, and why it failed stays known',
    choose(
      'web-2',
      { revision: 'web-1', lastHealthy: 'web-1', failed: 'web-2', failedMessage: 'no image' },
      { kind: 'Healthy' },
    ),
    { revision: 'web-1', lastHealthy: 'web-1', failed: 'web-2', failedMessage: 'no image' },
  ],
  [
    'after a failed one the next is tried',
    choose(
      'web-3',
      { revision: 'web-1', lastHealthy: 'web-1', failed: 'web-2' },
      { kind: 'Healthy' },
    ),
    { revision: 'web-3', lastHealthy: 'web-1' },
  ],
  [
    'a healthy one that falls ill is no failed roll-out',
    choose('web-2', { lastHealthy: 'web-2' }, failed),
    { revision: 'web-2', lastHealthy: 'web-2' },
  ],
  [
    'manual waits',
    choose('web-3', {}, underway, manual),
    { revision: 'web-2', available: 'web-3' },
  ],
  [
    'manual takes what is named',
    choose('web-3', {}, underway, { ...manual, rolloutRevision: 'web-3' }),
    { revision: 'web-3' },
  ],
  [
    'manual goes back to what is named',
    choose('web-3', { revision: 'web-3' }, underway, { ...manual, rolloutRevision: 'web-1' }),
    { revision: 'web-1', available: 'web-3' },
  ],
  [
    'manual returns from what failed',
    choose('web-2', { lastHealthy: 'web-1' }, failed, { ...manual, rolloutRevision: 'web-2' }),
    { revision: 'web-1', lastHealthy: 'web-1', failed: 'web-2', failedMessage: 'no image' },
  ],
] as const)
  test(`revision: ${title}`, () => assert.deepEqual(actual, expected));

test('durations are read as Go writes them', () => {
  assert.deepEqual(['1m30s', '500ms', '1.5h', undefined].map(parseDuration), [
    90_000,
    500,
    5_400_000,
    undefined,
  ]);
});
