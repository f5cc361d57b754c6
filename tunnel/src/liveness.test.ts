/** Connections that fail, silently or not, and what both ends make of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { createLogger, FakeClock } from '@cloudlet/runtime/base';
import { aPlan, aRegion, aReport, eventually, linkOf, type Agent, type Region } from './testing.ts';
import type { SessionRequest } from './wire.ts';
import { issuing } from './testing-enroll.ts';
import { aLine } from './testing-network.ts';

/** Moves the clock in steps of a second, with time for real bytes between. */
async function pass(clock: FakeClock, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    await clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function passUntil(clock: FakeClock, what: string, look: () => boolean): Promise<void> {
  for (let second = 0; second < 60 && !look(); second++) await pass(clock, 1);
  await eventually(what, look);
}

const aRequest: SessionRequest = { id: 's1', kind: 'exec', argv: ['cat'], user: 'ann' };

async function echoed(stream: Duplex, text: string): Promise<string> {
  stream.write(text);
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  return chunk.toString();
}

async function connected(region: Region, agent: Agent, times = 1): Promise<void> {
  await eventually(`connected ${times} times`, () => agent.handler.welcomes.length >= times);
  await linkOf(region);
}

/** A site behind a line, of which the hub's clock alone moves: the agent's stands, and it notices nothing. */
async function aStillSite(stack: AsyncDisposableStack) {
  const clock = new FakeClock(Date.now());
  const region = stack.use(await aRegion({ clock }));
  const line = stack.use(await aLine(region.hub));
  const agent = await region.agent({ hub: line.address, clock: new FakeClock(Date.now()) });
  await connected(region, agent);
  return { clock, region, line, link: await linkOf(region) };
}

test('the hub counts a site dead after 40 s without a byte, and not before', async () => {
  await using stack = new AsyncDisposableStack();
  const { clock, region, line, link } = await aStillSite(stack);
  await pass(clock, 2);
  line.drop();
  await pass(clock, 38);
  assert.equal(link.closed.aborted, false);
  await pass(clock, 3);
  assert.equal(link.closed.aborted, true);
  assert.match(String(link.closed.reason), /no byte for 40 s/);
  assert.equal(region.server.links().length, 0);
});

test('an agent answers while it is there, and not when its line says nothing', async () => {
  await using stack = new AsyncDisposableStack();
  const { clock, line, link } = await aStillSite(stack);
  assert.equal(await link.answers(), true);
  line.drop();
  const silent = link.answers();
  await pass(clock, 6);
  assert.equal(await silent, false);
  assert.equal(link.closed.aborted, false, 'that is for others to judge');
  link.refuse('Over', 'the test is over');
  assert.equal(await link.answers(), false, 'nobody is there any more');
});

test('pings keep an idle connection, and the region is told of it twice a minute at most', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  const agent = await region.agent({ clock });
  await connected(region, agent);
  const link = await linkOf(region);
  await pass(clock, 180);
  assert.equal(link.closed.aborted, false);
  assert.equal(agent.handler.disconnects.length, 0);
  assert.ok(region.backend.aliveCalls >= 4 && region.backend.aliveCalls <= 6);
});

test('an agent whose line falls silent is back within 60 s', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  await using line = await aLine(region.hub);
  const agent = await region.agent({ hub: line.address, clock });
  await connected(region, agent);
  line.drop();
  await pass(clock, 60);
  await connected(region, agent, 2);
  assert.match(agent.handler.disconnects[0]!, /pings without an answer/);
});

test('a reset connection is redialled', async () => {
  await using region = await aRegion();
  await using line = await aLine(region.hub);
  const agent = await region.agent({ hub: line.address, random: () => 0 });
  await connected(region, agent);
  line.reset();
  await connected(region, agent, 2);
});

test('a half-open connection is found out by its pings', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  await using line = await aLine(region.hub);
  const agent = await region.agent({ hub: line.address, clock });
  await connected(region, agent);
  line.halfOpen();
  await eventually('the hub sees the end', () => region.server.links().length === 0);
  assert.equal(agent.client.connected, true);
  await pass(clock, 60);
  await connected(region, agent, 2);
});

test('a process that slept redials at once', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  const agent = await region.agent({ clock });
  await connected(region, agent);
  const real = clock.now.bind(clock);
  clock.now = () => real() + 3_600_000;
  await clock.advance(15_000);
  await eventually('it redialled', () => agent.handler.disconnects.length === 1);
  assert.match(agent.handler.disconnects[0]!, /slept/);
});

test('delays between dials grow to 8 s in the first minute and to 60 s later', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  const delays: number[] = [];
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (ms, signal) => {
    delays.push(ms);
    return sleep(ms, signal);
  };
  // Nobody listens there.
  await region.agent({ hub: '127.0.0.1:1', clock, random: () => 1 });
  for (let tries = 1; tries <= 20; tries++) {
    await eventually(`try ${tries}`, () => delays.length >= tries && clock.pending > 0);
    await clock.advance(delays.at(-1)!);
  }
  assert.deepEqual(delays.slice(0, 6), [500, 1_000, 2_000, 4_000, 8_000, 8_000]);
  assert.equal(Math.max(...delays.slice(0, 10)), 8_000);
  assert.equal(delays.at(-1), 60_000);
});

test('a hub that drains has its sites redial within the time and closes empty', async () => {
  await using region = await aRegion();
  await using other = await aRegion();
  await using line = await aLine(region.hub);
  const agent = await region.agent({ hub: line.address, random: () => 0.1 });
  await connected(region, agent);
  await region.server.drain(200);
  assert.equal(region.server.links().length, 0);
  await eventually('the agent let go', () => agent.handler.disconnects.length === 1);
  assert.match(agent.handler.disconnects[0]!, /asked to redial/, 'at the end of its time');
  assert.equal(other.server.links().length, 0);
});

test('a hub that drains serves the site until the next has it, and it is never without', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  await using other = await aRegion({ clock, authority: region.authority });
  await using line = await aLine(region.hub);
  const lines: string[] = [];
  const logger = recordingLogger(lines);
  const agent = await region.agent({ hub: line.address, random: () => 0.1, clock, logger });
  await connected(region, agent);
  const link = await linkOf(region);
  line.accepts = false; // as long as the first tries lead to the hub that goes
  const drained = region.server.drain(20_000);
  await passUntil(clock, 'a try', () =>
    lines.some((text) => text.includes('cannot reach the hub')),
  );
  link.sendPlan(aPlan('meanwhile'), 'hash');
  await eventually('the plan', () => agent.handler.plans.has('meanwhile'));
  agent.client.report(aReport('meanwhile'));
  await eventually('the report', () => region.backend.reports.length === 1);
  line.to(other.hub);
  line.accepts = true;
  await passUntil(clock, 'the site is at the other', () => other.server.links().length === 1);
  await drained;
  agent.client.report(aReport('later'));
  await eventually('its report there', () => other.backend.reports.length === 1);
  assert.equal(agent.client.connected, true);
  assert.deepEqual(agent.handler.disconnects, []);
  assert.equal(agent.handler.welcomes.length, 2);
});

test('a site that finds no other hub lets go of the one that drains before its time', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  const agent = await region.agent({ random: () => 0.99, clock });
  await connected(region, agent);
  const drained = region.server.drain(3_600_000);
  const startedMs = clock.monotonic();
  while (agent.handler.disconnects.length === 0) await pass(clock, 1);
  await drained;
  assert.match(agent.handler.disconnects[0]!, /no other is found/);
  assert.ok(clock.monotonic() - startedMs < 3_600_000 * 0.1, 'long before its time');
});

test('few sites of a hub that drains need not its whole time to find another', async () => {
  for (const [withinMs, redialWithinMs] of [
    [3_600_000, 5_000],
    [200, 100],
  ] as const) {
    await using region = await aRegion();
    const lines: string[] = [];
    const agent = await region.agent({ logger: recordingLogger(lines) });
    await connected(region, agent);
    void region.server.drain(withinMs);
    await eventually('the drain', () => lines.some((line) => line.includes('the hub drains')));
    const told = lines.find((line) => line.includes('the hub drains'));
    assert.match(told ?? '', new RegExp(`"redialWithinMs":${redialWithinMs}[,}]`));
  }
});

test('a session goes on through a hub that drains while the site is at the next already', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  await using other = await aRegion({ clock, authority: region.authority });
  await using line = await aLine(region.hub);
  const agent = await region.agent({ hub: line.address, random: () => 0.1, clock });
  await connected(region, agent);
  const link = await linkOf(region);
  const stream = await link.openSession(aRequest, AbortSignal.timeout(20_000));
  assert.equal(await echoed(stream, 'before'), 'before');
  line.to(other.hub);
  let isDrained = false;
  const drained = region.server.drain(20_000).then(() => (isDrained = true));
  await pass(clock, 3);
  await eventually('the site is at the other', () => other.server.links().length === 1);
  assert.deepEqual(agent.handler.disconnects, []);
  assert.equal(await echoed(stream, 'meanwhile'), 'meanwhile');
  link.sendPlan(aPlan('late'), 'hash'); // the other hub says it
  await pass(clock, 15);
  assert.equal(await echoed(stream, 'at the last moment'), 'at the last moment');
  assert.equal(isDrained, false);
  await pass(clock, 4);
  await drained;
  assert.equal(stream.destroyed, true, 'the deadline is one');
  assert.equal(agent.handler.plans.size, 0);
  assert.equal(other.server.links().length, 1);
});

test('a site leaves a hub that drains as soon as its last session has ended', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  await using line = await aLine(region.hub);
  const agent = await region.agent({ hub: line.address, random: () => 1e-6, clock });
  await connected(region, agent);
  const link = await linkOf(region);
  const stream = await link.openSession(aRequest, AbortSignal.timeout(20_000));
  const drained = region.server.drain(3_600_000);
  while (agent.handler.disconnects.length === 0) await pass(clock, 1);
  assert.equal(link.closed.aborted, false);
  stream.end();
  stream.resume();
  await drained;
  assert.equal(link.closed.aborted, true);
});

test('a refused site hears why, slows down and tries again', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  let asked = 0;
  region.backend.onAdmit = () => {
    asked++;
    return { admitted: false, reason: 'Revoked', message: 'revoked by an operator' };
  };
  const lines: string[] = [];
  const agent = await region.agent({ clock, logger: recordingLogger(lines), random: () => 0 });
  await eventually('the refusal', () => lines.some((line) => line.includes('Revoked')));
  await pass(clock, 25);
  assert.equal(asked, 1);
  await pass(clock, 10);
  await eventually('a second try', () => asked === 2);
  assert.equal(agent.client.connected, false);
});

test('a link that the region refuses later ends at once with the reason told', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  const agent = await region.agent({ clock });
  await connected(region, agent);
  const link = await linkOf(region);
  link.refuse('DuplicateAgent', 'another process acts as this member');
  assert.equal(link.closed.aborted, true);
  await eventually('told', () => agent.handler.disconnects.length === 1);
  assert.match(agent.handler.disconnects[0]!, /DuplicateAgent/);
});

test('a region that does not know the certificate makes the agent enrol again', async () => {
  await using region = await aRegion();

  region.backend.onEnroll = issuing(region);
  region.backend.onAdmit = () =>
    region.backend.enrolments.length > 0
      ? { admitted: true, cloudletUid: 'uid-1' }
      : { admitted: false, reason: 'UnknownKey', message: 'not a key of the Cloudlet' };
  const clock = new FakeClock(Date.now());
  const agent = await region.agent({ clock, random: () => 0 });
  await eventually('it enrolled', () => region.backend.enrolments.length === 1);
  await pass(clock, 61);
  await connected(region, agent);
});

test('a report that was not acknowledged is sent again after a reconnect, in its latest form', async () => {
  await using region = await aRegion();
  await using line = await aLine(region.hub);
  region.backend.onReport = () => new Promise(() => undefined);
  const agent = await region.agent({ hub: line.address, random: () => 0 });
  await connected(region, agent);
  agent.client.report(aReport('a', 1));
  await eventually('the first arrived', () => region.backend.reports.length === 1);
  agent.client.report(aReport('a', 2));
  agent.client.report(aReport('a', 3));
  assert.equal(region.backend.reports.length, 1);
  region.backend.onReport = () => Promise.resolve({ result: 'Applied' });
  line.reset();
  await eventually('the latest arrived', () => region.backend.reports.length === 2);
  assert.deepEqual(region.backend.reports[1], aReport('a', 3));
});

test('whatever connections break when, site and region end with the same plans', async () => {
  await using region = await aRegion();
  await using line = await aLine(region.hub);
  const wanted = new Map<string, number>();
  region.backend.onConnected = (link) => {
    const had = new Map(link.hello.have.map((entry) => [entry.id, entry.sequence]));
    for (const [id, sequence] of wanted)
      if (had.get(id) !== sequence) link.sendPlan(aPlan(id, sequence), `hash-${sequence}`);
    link.sendSynced([]);
  };
  const agent = await region.agent({ hub: line.address, random: () => 0 });
  await connected(region, agent);
  const random = seeded(7);
  for (let step = 0; step < 300; step++) {
    const id = `i${Math.floor(random() * 20)}`;
    const sequence = (wanted.get(id) ?? 0) + 1;
    wanted.set(id, sequence);
    for (const link of region.server.links())
      link.sendPlan(aPlan(id, sequence), `hash-${sequence}`);
    if (random() < 0.03) line.reset();
    if (random() < 0.2) await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually('the same', () => {
    const has = [...agent.handler.plans.values()].map(({ plan }) => [plan.id, plan.sequence]);
    return JSON.stringify(has.sort()) === JSON.stringify([...wanted].sort());
  });
  assert.ok(agent.handler.welcomes.length > 1);
});

function recordingLogger(lines: string[]) {
  return createLogger({ write: (line) => void lines.push(line) });
}

/** A small generator, so that a failure repeats. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
