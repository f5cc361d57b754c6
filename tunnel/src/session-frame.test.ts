import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Readable, Writable, type Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { attachSession, failSession, serveSession, type TunnelSession } from './session-frame.ts';
import { aRegion, eventually, linkOf, type Region } from './testing.ts';

/** A session over a real tunnel: what the region holds of it, and of one that `serve` serves. */
async function aStream(
  region: Region,
  serve: (stream: Duplex) => Promise<void>,
  id = 's1',
): Promise<Duplex> {
  const link = region.server.links()[0] ?? (await agentAndLink(region));
  const { handler } = agents.get(region)!;
  handler.onSession = (_request, stream) => serve(stream);
  return link.openSession({ id, kind: 'exec', user: 'jane' }, AbortSignal.timeout(5_000));
}
const agents = new WeakMap<Region, Awaited<ReturnType<Region['agent']>>>();
async function agentAndLink(region: Region) {
  agents.set(region, await region.agent());
  return linkOf(region);
}

function aSession(parts: Partial<TunnelSession> = {}): TunnelSession & { closed: boolean } {
  const session = {
    stdout: Readable.from([]),
    resize: () => Promise.resolve(),
    exit: Promise.resolve({ code: 0 }),
    closed: false,
    close: () => void (session.closed = true),
    ...parts,
  };
  return session;
}

test('input, output, errors, size and exit pass to the other end', async () => {
  await using region = await aRegion();
  const stdin = new PassThrough();
  const sizes: [number, number][] = [];
  const session = aSession({
    stdin,
    stdout: stdin,
    stderr: Readable.from([Buffer.from('a warning')]),
    resize: async (columns, rows) => void sizes.push([columns, rows]),
    exit: Promise.resolve({ code: 3 }),
  });
  const remote = attachSession(await aStream(region, (stream) => serveSession(stream, session)));
  await remote.resize(80, 25);
  remote.stdin.end('echo this');
  const [out, err, exit] = await Promise.all([
    text(remote.stdout),
    text(remote.stderr),
    remote.exit,
  ]);
  assert.deepEqual(
    { out, err, exit, sizes },
    {
      ...{ out: 'echo this', err: 'a warning', exit: { code: 3 } },
      sizes: [[80, 25]],
    },
  );
  await eventually('the session is closed', () => session.closed);
});

test('output longer than the windows arrives whole', async () => {
  await using region = await aRegion();
  const bytes = Buffer.alloc(5_000_003, 'edge');
  const session = aSession({ stdout: Readable.from([bytes]) });
  const remote = attachSession(await aStream(region, (stream) => serveSession(stream, session)));
  assert.ok(bytes.equals(await buffer(remote.stdout)));
  assert.deepEqual(await remote.exit, { code: 0 });
});

test('the output of a session that exited waits for a slow reader', async () => {
  await using region = await aRegion();
  const bytes = Buffer.alloc(600_000, 'x');
  const session = aSession({ stdout: Readable.from([bytes]) });
  let isServed = false;
  const remote = attachSession(
    await aStream(region, (stream) =>
      serveSession(stream, session).then(() => void (isServed = true)),
    ),
  );
  await eventually('all of it has left the site', () => isServed);
  assert.equal((await buffer(remote.stdout)).length, bytes.length);
  assert.deepEqual(await remote.exit, { code: 0 });
});

test('a session that cannot be opened says why', async () => {
  await using region = await aRegion();
  const stream = await aStream(region, (served) => failSession(served, 'no such container'));
  assert.deepEqual(await attachSession(stream).exit, { reason: 'no such container' });
});

test('a driver whose output breaks ends the session with its reason', async () => {
  await using region = await aRegion();
  const stdout = new Readable({ read: () => void stdout.destroy(new Error('the engine went')) });
  const session = aSession({ stdout });
  const remote = attachSession(await aStream(region, (stream) => serveSession(stream, session)));
  remote.stdout.resume();
  assert.deepEqual(await remote.exit, { reason: 'the engine went' });
});

test('a user who leaves closes the session at the site', async () => {
  await using region = await aRegion();
  const session = aSession({ stdout: new PassThrough(), exit: new Promise(() => undefined) });
  const remote = attachSession(await aStream(region, (stream) => serveSession(stream, session)));
  remote.close();
  await eventually('the session is closed', () => session.closed);
});

test('a link that goes ends the session at both ends', async () => {
  await using region = await aRegion();
  const stdout = new PassThrough();
  const session = aSession({ stdout, exit: new Promise(() => undefined) });
  const remote = attachSession(await aStream(region, (stream) => serveSession(stream, session)));
  stdout.write('up');
  await once(remote.stdout, 'data');
  await agents.get(region)!.stop();
  assert.ok('reason' in (await remote.exit));
  await eventually('the session is closed', () => session.closed);
});

test('a reader that stalls holds at most 2 MiB and delays no other session', async () => {
  await using region = await aRegion();
  let taken = 0;
  const chunk = Buffer.alloc(65_536);
  const endless = aSession({
    stdout: new Readable({
      read: () => void endless.stdout.push(((taken += chunk.length), chunk)),
    }),
    exit: new Promise(() => undefined),
  });
  const stalled = attachSession(await aStream(region, (stream) => serveSession(stream, endless)));
  const before = await settledValue(() => taken);
  assert.ok(before > 0 && before <= 2 * 1024 * 1024, `${before} bytes were taken in`);
  const echo = aSession({ stdout: Readable.from(['quick']) });
  const other = attachSession(await aStream(region, (stream) => serveSession(stream, echo), 's2'));
  assert.equal(await text(other.stdout), 'quick');
  assert.equal(taken, before);
  stalled.close();
});

test('input that the program does not read stops the writer', async () => {
  await using region = await aRegion();
  const session = aSession({
    stdin: new Writable({ highWaterMark: 1024, write: () => undefined }),
    stdout: new PassThrough(),
    exit: new Promise(() => undefined),
  });
  const remote = attachSession(await aStream(region, (stream) => serveSession(stream, session)));
  let written = 0;
  const write = (): void => {
    remote.stdin.write(Buffer.alloc(65_536), (error) => {
      if (error) return;
      written += 65_536;
      write();
    });
  };
  write();
  const reached = await settledValue(() => written);
  assert.ok(reached > 0 && reached <= 2 * 1024 * 1024, `${reached} bytes went in`);
  remote.close();
});

test('a frame of another protocol ends its session and not the link', async () => {
  await using region = await aRegion();
  const stream = await aStream(region, async (served) => {
    served.write(Buffer.from([9, 0, 0, 0, 1, 65]));
  });
  const exit = await attachSession(stream).exit;
  assert.deepEqual(exit, { reason: 'a frame of unknown channel 9' });
  const long = await aStream(
    region,
    async (served) => void served.write(Buffer.from([1, 0xff, 0, 0, 0])),
    's2',
  );
  assert.match(((await attachSession(long).exit) as { reason: string }).reason, /longer than/);
  assert.equal(region.server.links().length, 1);
});

/** The value when it has not changed for 200 ms of real time: what flow control let through. */
async function settledValue(look: () => number): Promise<number> {
  let last = -1;
  let since = performance.now();
  await eventually('the flow stops', () => {
    if (look() !== last) since = performance.now();
    last = look();
    return last > 0 && performance.now() - since > 200;
  });
  return last;
}
