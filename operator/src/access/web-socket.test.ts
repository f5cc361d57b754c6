/** A real WebSocket on the loopback, with a clock that the test moves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import type { SessionExit } from '@cloudlet/tunnel';
import { WebSocket, WebSocketServer } from 'ws';
import { bridge } from './web-socket.ts';

const times = { idleMs: 60_000, maxMs: 600_000, pingMs: 15_000 };
let server: WebSocketServer;

before(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
});

after(() => {
  for (const client of server.clients) client.terminate();
  server.close();
});

async function aBridge(options: { readonly autoPong?: boolean } = {}) {
  const accepted = once(server, 'connection') as Promise<[WebSocket]>;
  const { port } = server.address() as AddressInfo;
  const caller = new WebSocket(`ws://127.0.0.1:${port}`, { autoPong: options.autoPong ?? true });
  const messages: Buffer[] = [];
  caller.on('message', (data: Buffer) => void messages.push(data));
  caller.on('error', () => undefined); // a test that cuts it knows
  const closed = new Promise<number>((resolve) => caller.once('close', (code) => resolve(code)));
  const [webSocket] = await accepted;
  await (caller.readyState === caller.OPEN || once(caller, 'open'));
  const clock = new FakeClock();
  const exit = Promise.withResolvers<SessionExit>();
  let closes = 0;
  const session = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    resize: async () => undefined,
    exit: exit.promise,
    close: () => void closes++,
  };
  const done = bridge({ webSocket, session, times, clock, logger: silentLogger });
  const end = (how: SessionExit): void => {
    session.stdout.end();
    session.stderr.end();
    exit.resolve(how);
  };
  const status = () =>
    JSON.parse(
      messages
        .find((message) => message[0] === 3)
        ?.subarray(1)
        .toString() ?? '{}',
    ) as {
      status?: string;
      message?: string;
    };
  return {
    caller,
    webSocket,
    messages,
    closed,
    clock,
    session,
    done,
    end,
    status,
    closes: () => closes,
  };
}

test('the end is told before the close, after all output', async () => {
  const { session, messages, closed, end, done, status } = await aBridge();
  session.stdout.write('last words');
  end({ code: 0 });
  assert.equal(await closed, 1000);
  await done;
  assert.deepEqual(
    messages.map((message) => message[0]),
    [1, 3],
  );
  assert.equal(status().status, 'Success');
});

test('a caller who closes ends the session', async () => {
  const { caller, done, closes } = await aBridge();
  caller.close();
  await done;
  assert.ok(closes() > 0);
});

test('input is passed on, and its end', async () => {
  const { caller, session, end, done } = await aBridge();
  caller.send(Buffer.from('\0in'));
  const [chunk] = (await once(session.stdin, 'data')) as [Buffer];
  assert.equal(chunk.toString(), 'in');
  caller.send(Buffer.of(255, 0));
  await once(session.stdin, 'end');
  end({ code: 0 });
  await done;
});

test('a session without data for as long as is allowed ends with a reason', async () => {
  const { webSocket, clock, closed, status, done } = await aBridge();
  for (let passed = 0; passed < 60_000; passed += 15_000) {
    const pong = Promise.race([once(webSocket, 'pong'), closed]);
    await clock.advance(15_000);
    await pong;
  }
  assert.equal(await closed, 1000);
  await done;
  assert.match(status().message ?? '', /nothing was sent for 60 s/);
});

test('a caller who answers no ping is cut off', async () => {
  const { clock, closed, done, closes } = await aBridge({ autoPong: false });
  for (let round = 0; round < 3; round++) await clock.advance(15_000);
  assert.equal(await closed, 1006);
  await done;
  assert.ok(closes() > 0);
});

test('messages that mean nothing are ignored', async () => {
  const { caller, session, end, done, status } = await aBridge();
  caller.send(Buffer.of(4, 0x7b));
  caller.send(Buffer.of(99, 1, 2));
  caller.send(Buffer.alloc(0));
  caller.send(Buffer.from('\0ok'));
  const [chunk] = (await once(session.stdin, 'data')) as [Buffer];
  assert.equal(chunk.toString(), 'ok');
  end({ code: 0 });
  await done;
  assert.equal(status().status, 'Success');
});
