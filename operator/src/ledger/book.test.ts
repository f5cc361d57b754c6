import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloudletLedger, CloudletLedgerSpec } from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { CacheEvent, Cache } from '@cloudlet/runtime/kubernetes';
import { createLedgerBook, type LedgerBookOptions } from './book.ts';
import { emptyLedger, entryOf, place, type PlaceRequest } from './entries.ts';

/** What the API server promises of one object: versions, and a precondition on replace. */
class Store {
  object: CloudletLedger | undefined;
  writes = 0;
  lists = 0;
  #version = 0;
  /** Held back until the test lets them go on. */
  gate: Promise<void> = Promise.resolve();

  readonly client: LedgerBookOptions['client'] = {
    get: async () => {
      if (!this.object) throw new NotFoundError('get');
      return this.object;
    },
    list: async () => {
      this.lists++;
      await this.gate;
      return { items: this.object ? [this.object] : [], resourceVersion: String(this.#version) };
    },
    create: async (object) => {
      await this.gate;
      if (this.object) throw new ConflictError('create: it exists');
      return this.#store(object.spec as CloudletLedgerSpec);
    },
    replace: async (object) => {
      await this.gate;
      if (!this.object) throw new NotFoundError('replace');
      if (object.metadata.resourceVersion !== this.object.metadata.resourceVersion)
        throw new ConflictError('replace: another version');
      return this.#store(object.spec);
    },
  };

  #store(spec: CloudletLedgerSpec): CloudletLedger {
    this.writes++;
    const metadata = {
      name: 'edge1',
      uid: 'u',
      generation: 1,
      creationTimestamp: '',
      resourceVersion: String(++this.#version),
    };
    this.object = { apiVersion: 'v1', kind: 'CloudletLedger', metadata, spec };
    return this.object;
  }

  /** A cache that never hears anything: what is known is what was written. */
  deafInformer(): LedgerBookOptions['informer'] {
    const cache: Cache<CloudletLedger> = {
      get: () => undefined,
      list: () => [],
      byIndex: () => [],
      size: 0,
    };
    return {
      cache,
      subscribe: (_: (event: CacheEvent<CloudletLedger>) => void) => ({
        unsubscribe: () => undefined,
      }),
    };
  }
}

const bookOf = (store: Store, onWrite?: (changes: number) => void) =>
  createLedgerBook({
    client: store.client,
    informer: store.deafInformer(),
    seed: ({ id }) => emptyLedger(id),
    ...(onWrite ? { onWrite } : {}),
  });
const site = { name: 'edge1', id: 'site' };
const request = (id: string): PlaceRequest => ({
  id,
  namespace: 'shop',
  name: id,
  inputs: id,
  resources: {},
  ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
  range: { first: 10_000, last: 10_999 },
  floor: 0,
});
const placeIn = (book: ReturnType<typeof bookOf>, id: string) =>
  book.write(site, (ledger) => place(ledger, request(id)));

test('requests that come together are one write, those that come meanwhile are the next', async () => {
  const store = new Store();
  const batches: number[] = [];
  const book = bookOf(store, (changes) => batches.push(changes));
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  const first = [placeIn(book, 'a'), placeIn(book, 'b')];
  await new Promise((next) => setImmediate(next));
  await new Promise((next) => setImmediate(next));
  const later = ['c', 'd', 'e'].map((id) => placeIn(book, id));
  resolve();
  await Promise.all([...first, ...later]);
  assert.deepEqual(batches, [2, 3]);
  assert.equal(store.writes, 2);
  assert.equal(store.object?.spec.entries?.length, 5);
});

test('a change that throws fails alone', async () => {
  const store = new Store();
  const book = bookOf(store);
  const failing = book.write(site, () => {
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  await Promise.all([
    placeIn(book, 'a'),
    assert.rejects(
      book.write(site, () => {
        throw new Error('no');
      }),
      /no/,
    ),
  ]);
  assert.equal(store.object?.spec.entries?.length, 1);
});

test('a change that changes nothing is not written', async () => {
  const store = new Store();
  const book = bookOf(store);
  await placeIn(book, 'a');
  await placeIn(book, 'a');
  assert.equal(store.writes, 1);
});

test('writers that know nothing of each other lose no entry and give no port twice', async () => {
  const store = new Store();
  const books = [bookOf(store), bookOf(store), bookOf(store)];
  await Promise.all(
    Array.from({ length: 90 }, (_, index) =>
      placeIn(books[index % 3] ?? bookOf(store), `i${index}`),
    ),
  );
  const entries = store.object?.spec.entries ?? [];
  assert.equal(entries.length, 90);
  assert.equal(new Set(entries.map(({ ports }) => ports?.[0]?.publicPort)).size, 90);
  assert.equal(new Set(entries.map(({ sequence }) => sequence)).size, 90);
});

test('a leader that was paused does not overwrite what came after it', async () => {
  const store = new Store();
  const [paused, next] = [bookOf(store), bookOf(store)];
  await placeIn(paused, 'a');
  await placeIn(next, 'b');
  const result = await placeIn(paused, 'c');
  assert.equal(result.kind === 'Placed' && result.entry.sequence, 3);
  assert.deepEqual(
    store.object?.spec.entries?.map(({ id }) => id),
    ['a', 'b', 'c'],
  );
});

test('a ledger of an earlier Cloudlet of the name is void but for its sequence', async () => {
  const store = new Store();
  await placeIn(bookOf(store), 'a');
  const book = bookOf(store);
  await book.write({ name: 'edge1', id: 'another' }, (ledger) => place(ledger, request('b')));
  assert.equal(entryOf(store.object?.spec, 'a'), undefined);
  assert.equal(entryOf(store.object?.spec, 'b')?.sequence, 2);
});

test('who keeps losing the race is told in the end', async () => {
  const store = new Store();
  const book = bookOf(store);
  await placeIn(book, 'a');
  store.client.replace = async () => {
    throw new ConflictError('replace: another version');
  };
  await assert.rejects(placeIn(book, 'b'), ConflictError);
});

test('those who ask for all ledgers meanwhile share one list that begins after they asked', async () => {
  const store = new Store();
  const [book, other] = [bookOf(store), bookOf(store)];
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  const first = book.refreshAll();
  await new Promise((next) => setImmediate(next));
  const later = [book.refreshAll(), book.refreshAll(), book.refreshAll()];
  store.gate = Promise.resolve();
  await placeIn(other, 'a');
  resolve();
  await first;
  for (const ledgers of await Promise.all(later)) assert.ok(entryOf(ledgers[0]?.spec, 'a'));
  assert.equal(store.lists, 2);
  assert.ok(entryOf(book.view('edge1'), 'a'));
});
