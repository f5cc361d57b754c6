import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst, CloudletLedger, Plan } from '@cloudlet/crds';
import { WaitingError } from '@cloudlet/runtime/base';
import type { ControllerRevision, SecretObject } from '../kinds.ts';
import {
  changedIds,
  differenceOf,
  type InstanceView,
  ledgerIndex,
  type Order,
  orderOf,
} from './orders.ts';
import { aLedger, anAppInst, anEntry, aTombstone } from './testing.ts';

const revision = { metadata: { name: 'web-1' } } as unknown as ControllerRevision;
const secret = { metadata: { name: 'copy' } } as SecretObject;
const rendered = { plan: { id: 'id', sequence: 3 } as Plan, hash: 'hash' };
const render = () => rendered;

const whole: InstanceView = {
  site: 'north',
  entry: anEntry({ sequence: 3 }),
  appInst: anAppInst(),
  revision,
};

const withStatus = (status: Partial<NonNullable<AppInst['status']>>): AppInst => {
  const appInst = anAppInst();
  return { ...appInst, status: { ...appInst.status, ...status } };
};

test('an instance with all its inputs is ordered by its plan', () => {
  assert.deepEqual(orderOf(whole, render), { kind: 'plan', ...rendered });
});

const rollout = anAppInst().status?.rollout;
assert.ok(rollout);
const deleted = anAppInst();
const held: readonly (readonly [string, InstanceView])[] = [
  ['the AppInst is not in the cache', { ...whole, appInst: undefined }],
  [
    'the AppInst is being deleted',
    {
      ...whole,
      appInst: { ...deleted, metadata: { ...deleted.metadata, deletionTimestamp: 'now' } },
    },
  ],
  ['the AppInst is not placed here', { ...whole, site: 'south' }],
  [
    'the operator has not acted on this generation',
    { ...whole, appInst: withStatus({ rollout: { ...rollout, generation: 0 } }) },
  ],
  ['ledger and AppInst differ in sequence', { ...whole, entry: anEntry({ sequence: 4 }) }],
  ['revision web-1 is not in the cache', { ...whole, revision: undefined }],
  [
    'the copy of its secrets is not in the cache',
    { ...whole, appInst: withStatus({ rollout: { ...rollout, secret: 'copy' } }) },
  ],
];
for (const [reason, view] of held)
  test(`a plan is held back while ${reason}`, () => {
    assert.deepEqual(orderOf(view, render), { kind: 'hold', reason });
  });

test('a plan with its copy of secrets is given', () => {
  const appInst = withStatus({ rollout: { ...rollout, secret: 'copy' } });
  assert.equal(orderOf({ ...whole, appInst, secret }, render).kind, 'plan');
});

test('a plan that cannot be rendered yet is held back with the reason', () => {
  const wait = (): never => {
    throw new WaitingError('Progressing', 'uri is not known', 1);
  };
  assert.deepEqual(orderOf(whole, wait), { kind: 'hold', reason: 'uri is not known' });
});

test('a tombstone orders the removal, with its volumes', () => {
  const view = { site: 'north', tombstone: aTombstone({ sequence: 9, deleteVolumes: true }) };
  const removal = { id: 'id', sequence: 9, deleteVolumes: true };
  assert.deepEqual(orderOf(view, render), { kind: 'remove', removal });
});

test('of a tombstone and an entry the later one counts', () => {
  const [early, late] = [aTombstone({ sequence: 2 }), aTombstone({ sequence: 4 })];
  assert.equal(orderOf({ ...whole, tombstone: early }, render).kind, 'plan');
  assert.equal(orderOf({ ...whole, tombstone: late }, render).kind, 'remove');
});

test('without entry and tombstone nothing is ordered, whatever the AppInst says', () => {
  assert.deepEqual(orderOf({ ...whole, entry: undefined }, render), { kind: 'unknown' });
});

const plan: Order = { kind: 'plan', ...rendered };
const remove: Order = { kind: 'remove', removal: { id: 'id', sequence: 3 } };
const unknown: Order = { kind: 'unknown' };
const hold: Order = { kind: 'hold', reason: '' };

for (const [expected, what, order, known] of [
  ['plan', 'a plan that the site lacks', plan, undefined],
  ['plan', 'a plan of another hash', plan, { sequence: 3, hash: 'other' }],
  ['plan', 'a later plan of the same content', plan, { sequence: 2, hash: 'hash' }],
  ['plan', 'a plan of what was removed', plan, { sequence: 2, hash: '', removed: true }],
  [
    'ahead',
    'a plan of the number by which the site removed it',
    plan,
    { sequence: 3, hash: '', removed: true },
  ],
  ['none', 'a plan that the site has', plan, { sequence: 3, hash: 'hash' }],
  ['ahead', 'a plan earlier than that of the site', plan, { sequence: 4, hash: 'hash' }],
  ['remove', 'a removal that the site lacks', remove, undefined],
  ['remove', 'a removal of what runs', remove, { sequence: 2, hash: 'hash' }],
  ['removed', 'a removal that was carried out', remove, { sequence: 3, hash: '', removed: true }],
  ['ahead', 'a removal earlier than the plan of the site', remove, { sequence: 4, hash: 'h' }],
  ['forget', 'what was removed and settled', unknown, { sequence: 3, hash: '', removed: true }],
  ['orphan', 'what runs and is not known', unknown, { sequence: 3, hash: 'hash' }],
  ['none', 'what neither knows', unknown, undefined],
  ['none', 'what is held back, though it runs', hold, { sequence: 3, hash: 'hash' }],
] as const)
  test(`${what} leads to ${expected}`, () => {
    assert.equal(differenceOf(order, known), expected);
  });

test('a ledger tells the ids that changed between two versions of it', () => {
  const before = aLedger({
    entries: [anEntry({ id: 'same' }), anEntry({ id: 'grows' }), anEntry({ id: 'goes' })],
    tombstones: [aTombstone({ id: 'settled' })],
  });
  const after = aLedger({
    entries: [
      anEntry({ id: 'same' }),
      anEntry({ id: 'grows', sequence: 9 }),
      anEntry({ id: 'new' }),
    ],
    tombstones: [aTombstone({ id: 'goes' })],
  });
  assert.deepEqual([...changedIds(before, after)].sort(), ['goes', 'grows', 'new', 'settled']);
  assert.deepEqual([...changedIds(undefined, before)].length, 4);
  assert.deepEqual([...changedIds(before, undefined)].length, 4);
});

test('a ledger is indexed once', () => {
  const ledger: CloudletLedger = aLedger({ entries: [anEntry()] });
  assert.equal(ledgerIndex(ledger), ledgerIndex(ledger));
});
