import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConflictError,
  FakeClock,
  NotFoundError,
  TerminalError,
  UnreachableError,
  silentLogger,
} from '../base/index.ts';
import { createLeaderElection } from './election.ts';
import { type Lease, formatMicroTime, parseMicroTime } from './lease.ts';
import type { KubernetesClient, ResourceClient } from './types.ts';

/** One Lease with the API server's preconditions; the calls of who is cut off fail. */
class LeaseBoard {
  lease: Lease | undefined;
  readonly cutOff = new Set<string>();
  #version = 0;

  clientOf(identity: string): KubernetesClient {
    const check = (): void => {
      if (this.cutOff.has(identity)) throw new UnreachableError('cut off');
    };
    const leases: Partial<ResourceClient<Lease>> = {
      get: async () => {
        check();
        if (!this.lease) throw new NotFoundError('no Lease');
        return this.lease;
      },
      create: async (lease) => {
        check();
        if (this.lease) throw new ConflictError('it exists');
        return this.#store(lease as Lease);
      },
      replace: async (lease) => {
        check();
        if (!this.lease) throw new NotFoundError('no Lease');
        if (lease.metadata.resourceVersion !== this.lease.metadata.resourceVersion)
          throw new ConflictError('changed meanwhile');
        return this.#store(lease);
      },
    };
    return { resource: () => leases } as unknown as KubernetesClient;
  }

  #store(lease: Lease): Lease {
    const metadata = { ...lease.metadata, uid: 'u', resourceVersion: `${++this.#version}` };
    return (this.lease = { ...lease, metadata });
  }
}

function candidate(board: LeaseBoard, clock: FakeClock, identity: string) {
  const log: string[] = [];
  const stop = new AbortController();
  const election = createLeaderElection({
    client: board.clientOf(identity),
    namespace: 'n',
    name: 'operator',
    identity,
    clock,
    logger: silentLogger,
    random: () => 1,
  });
  let drain = (): Promise<void> => Promise.resolve();
  const running = election
    .run(stop.signal, async (signal) => {
      log.push(`leads at ${clock.monotonic()}`);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      log.push(`told at ${clock.monotonic()}`);
      await drain();
    })
    .catch((error: unknown) => void log.push(String(error)));
  return {
    election,
    log,
    stop,
    running,
    drainBy: (how: () => Promise<void>) => void (drain = how),
  };
}

test('one of many leads, and the Lease tells who', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const [a, b] = [candidate(board, clock, 'a'), candidate(board, clock, 'b')];
  await clock.advance(60_000);
  assert.deepEqual([a.election.isLeader, b.election.isLeader], [true, false]);
  assert.equal(board.lease?.spec?.holderIdentity, 'a');
  assert.equal(board.lease?.spec?.leaseDurationSeconds, 15);
  assert.equal(parseMicroTime(board.lease?.spec?.renewTime), clock.now());
  assert.equal(parseMicroTime(board.lease?.spec?.acquireTime), clock.now() - 60_000);
});

test('a leader that ends in order drains, then lets the next one start within half a second', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const [a, b] = [candidate(board, clock, 'a'), candidate(board, clock, 'b')];
  await clock.advance(5_000);
  a.drainBy(() => clock.sleep(20_000)); // longer than the Lease would last without renewals
  a.stop.abort();
  await clock.advance(19_999);
  assert.equal(b.election.isLeader, false);
  await clock.advance(501);
  await a.running;
  assert.deepEqual([a.election.isLeader, b.election.isLeader], [false, true]);
  assert.equal(board.lease?.spec?.holderIdentity, 'b');
  assert.equal(board.lease?.spec?.leaseTransitions, 1);
});

test('a leader that dies is followed within 17 seconds, not before 15', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  candidate(board, clock, 'a');
  const b = candidate(board, clock, 'b');
  await clock.advance(30_000);
  const renewed = parseMicroTime(board.lease?.spec?.renewTime) ?? 0;
  board.cutOff.add('a'); // to the others it is dead
  await clock.advance(renewed + 15_000 - clock.now() - 1);
  assert.equal(b.election.isLeader, false);
  await clock.advance(2_001);
  assert.equal(b.election.isLeader, true);
});

test('a leader that cannot renew for 10 seconds stops before anybody else may start', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const [a, b] = [candidate(board, clock, 'a'), candidate(board, clock, 'b')];
  await clock.advance(20_000);
  board.cutOff.add('a');
  await clock.advance(12_000);
  await a.running;
  assert.equal(a.election.isLeader, false);
  assert.match(a.log.join(), /LeadershipLost|no renewal for 10000 ms/);
  assert.match(a.log.join(), /told at/);
  assert.equal(b.election.isLeader, false);
  await clock.advance(6_000);
  assert.equal(b.election.isLeader, true);
});

/** The clock of a process that can be paused: no timer fires meanwhile, and time is found to have passed. */
class PausedClock extends FakeClock {
  pausedMs = 0;
  override monotonic(): number {
    return super.monotonic() + this.pausedMs;
  }
}

test('a leader that wakes from a pause may not write, before it even knows that another leads', async () => {
  const board = new LeaseBoard();
  const clocks = { a: new PausedClock(), b: new FakeClock() };
  const [a, b] = [candidate(board, clocks.a, 'a'), candidate(board, clocks.b, 'b')];
  await clocks.a.advance(1_000);
  await clocks.b.advance(1_000);
  assert.doesNotThrow(() => a.election.assertLeading());
  assert.throws(() => b.election.assertLeading(), ConflictError);
  await clocks.b.advance(17_000);
  assert.doesNotThrow(() => b.election.assertLeading());
  clocks.a.pausedMs = 17_000;
  assert.equal(a.election.isLeader, true);
  assert.throws(() => a.election.assertLeading(), ConflictError);
  await clocks.a.advance(3_000);
  assert.match(a.log.join(), /LeadershipLost|no renewal/);
});

test('a failure of a few seconds costs no leadership', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const a = candidate(board, clock, 'a');
  await clock.advance(20_000);
  board.cutOff.add('a');
  await clock.advance(7_000);
  board.cutOff.delete('a');
  await clock.advance(60_000);
  assert.deepEqual(a.log, ['leads at 0']);
});

test('a Lease that somebody took away ends the leadership at once', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const a = candidate(board, clock, 'a');
  await clock.advance(1_000);
  const { lease } = board;
  assert.ok(lease);
  const thief = board.clientOf('thief').resource<Lease>({} as never);
  await thief.replace({ ...lease, spec: { ...lease.spec, holderIdentity: 'thief' } });
  await clock.advance(4_000);
  await a.running;
  assert.match(a.log.join(), /thief holds the Lease now/);
  assert.equal(board.lease?.spec?.holderIdentity, 'thief');
});

test('a Lease that was deleted or annotated is taken again by its leader', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const a = candidate(board, clock, 'a');
  await clock.advance(1_000);
  board.lease = undefined;
  await clock.advance(5_000);
  assert.equal((board.lease as Lease | undefined)?.spec?.holderIdentity, 'a');
  assert.deepEqual(a.log, ['leads at 0']);
});

test('who stops while it waits never leads', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  candidate(board, clock, 'a');
  const b = candidate(board, clock, 'b');
  await clock.advance(5_000);
  b.stop.abort();
  await b.running;
  assert.deepEqual(b.log, []);
});

test('what fails while it leads is thrown, and the Lease is released', async () => {
  const [board, clock] = [new LeaseBoard(), new FakeClock()];
  const election = createLeaderElection({
    client: board.clientOf('a'),
    namespace: 'n',
    name: 'operator',
    identity: 'a',
    clock,
    logger: silentLogger,
  });
  const running = election.run(new AbortController().signal, async () => {
    throw new TerminalError('Broken', 'a controller broke');
  });
  const rejected = assert.rejects(running, /a controller broke/);
  await clock.advance(10);
  await rejected;
  assert.equal(board.lease?.spec?.holderIdentity, '');
});

test('times of a Lease have six digits and are read back to the millisecond', () => {
  const ms = Date.UTC(2026, 0, 31, 12, 0, 0, 123);
  assert.equal(formatMicroTime(ms), '2026-01-31T12:00:00.123000Z');
  assert.equal(parseMicroTime('2026-01-31T12:00:00.123456Z'), ms);
  assert.equal(parseMicroTime('2026-01-31T12:00:00Z'), ms - 123);
  assert.equal(parseMicroTime(undefined), undefined);
  assert.equal(parseMicroTime('soon'), undefined);
});
