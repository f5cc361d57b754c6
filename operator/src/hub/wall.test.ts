import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceReport } from '@cloudlet/tunnel';
import { aCloudlet, anAppInst, anEntry, aReport, aTombstone } from './testing.ts';
import {
  checkInstanceReport,
  checkSiteReport,
  confirmsRemoval,
  recordsRemoval,
  type Refusal,
  type ReportView,
} from './wall.ts';

const view: ReportView = {
  site: 'north',
  boot: 'boot-1',
  appInst: anAppInst(),
  entry: anEntry({ sequence: 3 }),
};
const recorded = (site: Partial<InstanceReport['status']['site']>): ReportView => ({
  ...view,
  appInst: anAppInst({
    site: { uid: 'uid-web', boot: 'boot-1', sequence: 5, placement: 3, ...site },
  }),
});
const deployed = {
  type: 'Deployed',
  status: 'True' as const,
  reason: 'Deployed',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};

const passes: readonly (readonly [string, InstanceReport, ReportView])[] = [
  ['an honest first report', aReport({}, { conditions: [deployed] }), view],
  ['the same report again', aReport({ sequence: 5 }), recorded({})],
  ['the first report of a new process', aReport({ sequence: 0 }), recorded({ boot: 'boot-0' })],
  ['a report of a plan later than the ledger, as after a restore', aReport({ placement: 9 }), view],
  [
    'a removal that the ledger asks for, of an AppInst that is gone',
    aReport({ removed: true, placement: 4 }),
    { ...view, appInst: undefined, entry: undefined, tombstone: aTombstone({ sequence: 4 }) },
  ],
];
for (const [what, report, seen] of passes)
  test(`${what} passes`, () => assert.equal(checkInstanceReport(report, seen), undefined));

const moved = anAppInst({ placement: { cloudlet: 'south', sequence: 4 } });
const refused: readonly (readonly [string, Refusal['reason'], InstanceReport, ReportView])[] = [
  ['of another process than the one that sent it', 'OtherBoot', aReport({ boot: 'x' }), view],
  [
    'of an instance that the ledger does not know here',
    'UnknownInstance',
    aReport(),
    { ...view, entry: undefined },
  ],
  [
    'of an AppInst that is placed elsewhere',
    'NotPlacedHere',
    aReport(),
    { ...view, appInst: moved },
  ],
  [
    'under the name of another object',
    'NotPlacedHere',
    { ...aReport(), object: { namespace: 'shop', name: 'other' } },
    view,
  ],
  ['of an earlier object of that name', 'OtherObject', aReport({ uid: 'x' }), view],
  ['earlier than what is on record', 'Stale', aReport({ sequence: 4 }), recorded({})],
  [
    'of an earlier plan, from a new process',
    'Stale',
    aReport({ placement: 2 }),
    recorded({ boot: 'boot-0' }),
  ],
  [
    "with a condition of the operator's",
    'NotTheAgents',
    aReport({}, { conditions: [{ ...deployed, type: 'Ready' }] }),
    view,
  ],
  [
    'of a removal that nobody asked for, of an AppInst placed elsewhere',
    'NotPlacedHere',
    aReport({ removed: true }),
    { ...view, appInst: moved },
  ],
];
for (const [what, reason, report, seen] of refused)
  test(`a report ${what} is refused as ${reason}`, () =>
    assert.equal(checkInstanceReport(report, seen)?.reason, reason));

test('a removal is confirmed by a report of its own plan, not of an earlier one', () => {
  const tombstoned = { ...view, tombstone: aTombstone({ sequence: 4 }) };
  assert.equal(confirmsRemoval(aReport({ removed: true, placement: 4 }), tombstoned), true);
  assert.equal(confirmsRemoval(aReport({ removed: true, placement: 3 }), tombstoned), false);
  assert.equal(confirmsRemoval(aReport({ placement: 4 }), tombstoned), false);
  assert.equal(confirmsRemoval(aReport({ removed: true, placement: 4 }), view), false);
});

test("a removal goes on record although the cache takes the object, which has moved on, for the site's", () => {
  const tombstoned = { ...view, tombstone: aTombstone({ sequence: 4 }) };
  const report = aReport({ removed: true, placement: 4 });
  const refused = { result: 'Dropped', message: 'the AppInst is not placed at this site' } as const;
  const unwritten = { result: 'Retry', message: 'the API server does not answer' } as const;
  assert.equal(recordsRemoval(report, tombstoned, refused), true);
  assert.equal(recordsRemoval(report, tombstoned, { result: 'Applied' }), true);
  assert.equal(recordsRemoval(report, tombstoned, unwritten), false, 'the site says it again');
  assert.equal(recordsRemoval(aReport({ placement: 4 }), tombstoned, refused), false);
});

const siteReport = (more: object = {}, type = 'PlatformReady') => ({
  site: { uid: 'uid-north', boot: 'boot-1', sequence: 1, ...more },
  conditions: [{ ...deployed, type }],
});

test("a site's report of itself passes, and no other does", () => {
  const seen = { boot: 'boot-1', cloudlet: aCloudlet() };
  assert.equal(checkSiteReport(siteReport(), seen), undefined);
  assert.equal(checkSiteReport(siteReport({ uid: 'x' }), seen)?.reason, 'OtherObject');
  assert.equal(checkSiteReport(siteReport({ boot: 'x' }), seen)?.reason, 'OtherBoot');
  assert.equal(checkSiteReport(siteReport({}, 'Connected'), seen)?.reason, 'NotTheAgents');
  assert.equal(checkSiteReport(siteReport(), { boot: 'boot-1' })?.reason, 'NotPlacedHere');
});
