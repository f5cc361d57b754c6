import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '@cloudlet/crds';
import type { Order } from './orders.ts';
import { SiteStream } from './stream.ts';
import { RecordingLink } from './testing.ts';

const planOf = (id: string, sequence: number, hash = `${id}${sequence}`): Order => ({
  kind: 'plan',
  plan: { id, sequence } as Plan,
  hash,
});
const removalOf = (id: string, sequence: number): Order => ({
  kind: 'remove',
  removal: { id, sequence },
});

function aStream(orders: Map<string, Order>, link = new RecordingLink()) {
  const tasks: (() => void)[] = [];
  const removed: string[] = [];
  const onRecord = new Set<string>();
  const ahead: string[] = [];
  const stream = new SiteStream({
    link,
    idsOf: () => [...orders.keys()],
    orderOf: (id) => orders.get(id) ?? { kind: 'unknown' },
    isOnRecord: (id, sequence) => onRecord.has(`${id} ${sequence}`),
    onRemoved: (id, sequence) => void removed.push(`${id} ${sequence}`),
    onAhead: (id) => void ahead.push(id),
    onSent: () => undefined,
    soon: (task) => void tasks.push(task),
  });
  const settle = (): void => {
    while (tasks.length > 0) tasks.shift()?.();
  };
  return { stream, link, settle, tasks, removed, onRecord, ahead };
}

test('a new site is sent all that it shall have, then that this was all', () => {
  const { stream, link } = aStream(
    new Map([
      ['a', planOf('a', 1)],
      ['b', removalOf('b', 2)],
    ]),
  );
  stream.start();
  assert.deepEqual(link.sent, ['plan a 1 a1', 'remove b 2', 'synced']);
});

test('a site that returns is sent the differences only, and is told its orphans', () => {
  const link = new RecordingLink({
    have: [
      { id: 'same', sequence: 1, hash: 'same1' },
      { id: 'older', sequence: 1, hash: 'older1' },
      { id: 'stray', sequence: 4, hash: 'x' },
      { id: 'done', sequence: 5, hash: '', removed: true },
    ],
  });
  const { stream } = aStream(
    new Map([
      ['same', planOf('same', 1)],
      ['older', planOf('older', 2)],
    ]),
    link,
  );
  stream.start();
  assert.deepEqual(link.sent, ['plan older 2 older2', 'forget done', 'synced stray']);
});

test('a burst of changes to one instance is one message, of the last order', () => {
  const orders = new Map([['a', planOf('a', 1)]]);
  const { stream, link, settle, tasks } = aStream(orders);
  stream.start();
  for (const sequence of [2, 3, 4]) {
    orders.set('a', planOf('a', sequence));
    stream.touch('a');
  }
  assert.equal(tasks.length, 1);
  settle();
  assert.deepEqual(link.sent, ['plan a 1 a1', 'synced', 'plan a 4 a4']);
});

test('a touch that changes nothing sends nothing', () => {
  const { stream, link, settle } = aStream(
    new Map([
      ['a', planOf('a', 1)],
      ['b', removalOf('b', 2)],
    ]),
  );
  stream.start();
  const { length } = link.sent;
  stream.touch('a');
  stream.touch('b');
  settle();
  assert.equal(link.sent.length, length);
});

test('what is held back sends nothing until it is whole, and never removes what runs', () => {
  const link = new RecordingLink({ have: [{ id: 'a', sequence: 1, hash: 'a1' }] });
  const orders = new Map<string, Order>([['a', { kind: 'hold', reason: 'no revision' }]]);
  const { stream, settle } = aStream(orders, link);
  stream.start();
  assert.deepEqual(link.sent, ['synced']);
  orders.set('a', planOf('a', 2));
  stream.touch('a');
  settle();
  assert.deepEqual(link.sent, ['synced', 'plan a 2 a2']);
});

test('a removal is forgotten when it was carried out and its tombstone is gone', () => {
  const orders = new Map<string, Order>([['a', removalOf('a', 2)]]);
  const { stream, link, settle, removed } = aStream(orders);
  stream.start();
  stream.removed('a', 2);
  settle();
  assert.deepEqual(removed, ['a 2'], 'it is on record while the tombstone stands');
  orders.delete('a');
  stream.touch('a');
  settle();
  assert.deepEqual(link.sent, ['remove a 2', 'synced', 'forget a']);
});

test('a removal that was carried out before the site connected is put on record', () => {
  const link = new RecordingLink({ have: [{ id: 'a', sequence: 2, hash: '', removed: true }] });
  const { stream, removed } = aStream(new Map([['a', removalOf('a', 2)]]), link);
  stream.start();
  assert.deepEqual(removed, ['a 2']);
  assert.deepEqual(link.sent, ['synced']);
});

test('a removal on record asks for nothing more, though the operator has not read it', () => {
  const orders = new Map<string, Order>([['a', removalOf('a', 2)]]);
  const { stream, settle, removed, onRecord, tasks } = aStream(orders);
  stream.start();
  onRecord.add('a 2');
  stream.removed('a', 2);
  settle();
  assert.deepEqual([removed, tasks], [[], []]);
});

test('what is placed again after a removal is sent again', () => {
  const orders = new Map<string, Order>([['a', removalOf('a', 2)]]);
  const { stream, link, settle } = aStream(orders);
  stream.start();
  stream.removed('a', 2);
  orders.set('a', planOf('a', 3));
  settle();
  assert.deepEqual(link.sent, ['remove a 2', 'synced', 'plan a 3 a3']);
});

test('an orphan that the region comes to know is announced no more', () => {
  const link = new RecordingLink({ have: [{ id: 'a', sequence: 1, hash: 'a1' }] });
  const orders = new Map<string, Order>();
  const { stream, settle } = aStream(orders, link);
  stream.start();
  orders.set('a', planOf('a', 1));
  stream.touch('a');
  settle();
  assert.deepEqual(link.sent, ['synced a', 'synced']);
});

test('a site that is ahead of the region is sent the older order once, and told about', () => {
  const have = ['a', 'b', 'c'].map((id) => ({ id, sequence: 7, hash: `${id}7` }));
  const link = new RecordingLink({ have: have.map((one, n) => ({ ...one, removed: n === 2 })) });
  const orders = new Map([
    ['a', planOf('a', 2)],
    ['b', removalOf('b', 3)],
    ['c', planOf('c', 4)],
  ]);
  const { stream, ahead, settle } = aStream(orders, link);
  stream.start();
  for (const id of orders.keys()) stream.touch(id);
  settle();
  assert.deepEqual(link.sent, ['plan a 2 a2', 'remove b 3', 'plan c 4 c4', 'synced b']);
  assert.deepEqual(ahead, ['a', 'b', 'c']);
  orders.set('b', removalOf('b', 8));
  stream.touch('b');
  settle();
  assert.deepEqual(link.sent.slice(-2), ['remove b 8', 'synced']);
  orders.set('a', planOf('a', 8));
  stream.touch('a');
  settle();
  assert.equal(link.sent.at(-1), 'plan a 8 a8');
});

test('a link that ended is sent nothing more', () => {
  const { stream, link, settle } = aStream(new Map([['a', planOf('a', 1)]]));
  stream.touch('a');
  link.end();
  settle();
  assert.deepEqual(link.sent, []);
});
