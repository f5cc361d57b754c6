import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { secondsOf, splitArguments } from './arguments.ts';
import { runCli } from './cli.ts';
import { joinOf } from './commands/join.ts';
import type { Terminal } from './terminal.ts';

class TestTerminal implements Terminal {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  isInteractive = false;
  readonly raws: boolean[] = [];
  columns = 80;
  #resized: () => void = () => undefined;

  setRaw(raw: boolean): void {
    this.raws.push(raw);
  }
  size() {
    return { columns: this.columns, rows: 24 };
  }
  onResize(listener: () => void): () => void {
    this.#resized = listener;
    return () => (this.#resized = () => undefined);
  }
  resize(columns: number): void {
    this.columns = columns;
    this.#resized();
  }
  out(): string {
    return String(this.stdout.read() ?? '');
  }
  err(): string {
    return String(this.stderr.read() ?? '');
  }
}

const run = (argv: readonly string[], terminal: Terminal): Promise<number> =>
  runCli(argv, { terminal, signal: new AbortController().signal, version: '1.2.3' });

async function aKubeconfig(t: TestContext, server: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cloudlet-cli-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'kubeconfig');
  await writeFile(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'jane', namespace: 'acme' } }],
      clusters: [{ name: 'test', cluster: { server } }],
      users: [{ name: 'jane', user: { token: 'the-token' } }],
    }),
  );
  return path;
}

interface Access {
  readonly kubeconfig: string;
  readonly requests: { url: string; authorization: string | undefined }[];
}

/** An access API that lets `serve` play the site. */
async function anAccessApi(t: TestContext, serve: (socket: WebSocket) => void): Promise<Access> {
  const requests: Access['requests'] = [];
  const webSockets = new WebSocketServer({ noServer: true });
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    requests.push({ url: request.url ?? '', authorization: request.headers.authorization });
    webSockets.handleUpgrade(request, socket, head, serve);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const client of webSockets.clients) client.terminate();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { kubeconfig: await aKubeconfig(t, `http://127.0.0.1:${port}`), requests };
}

const frame = (channel: number, text: string): Buffer =>
  Buffer.concat([Buffer.of(channel), Buffer.from(text)]);

const exitStatus = (code: number): Buffer =>
  frame(
    3,
    JSON.stringify(
      code === 0
        ? { status: 'Success' }
        : {
            status: 'Failure',
            reason: 'NonZeroExitCode',
            details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
          },
    ),
  );

test('short flags are the long ones, several in one, and nothing behind -- is looked at', () => {
  const table = {
    stdin: { type: 'boolean', description: '' },
    tty: { type: 'boolean', description: '' },
    namespace: { type: 'string', description: '' },
  } as const;
  const shorts = { i: 'stdin', t: 'tty' };
  const split = (...argv: string[]) => splitArguments(argv, table, shorts);
  assert.deepEqual(split('shop', '-it', '--', 'sh', '-c', 'x'), {
    own: ['shop', '--stdin', '--tty'],
    command: ['sh', '-c', 'x'],
  });
  assert.deepEqual(split('-nacme', '-n=acme', '-n', 'acme').own, [
    '--namespace=acme',
    '--namespace=acme',
    '--namespace',
    'acme',
  ]);
  assert.throws(() => split('-x'), /no flag -x/);
});

test('durations are those that kubectl takes', () => {
  assert.equal(secondsOf('since', '1h30m5s'), 5405);
  assert.throws(() => secondsOf('since', '10'), /--since wants a duration such as 10m, not '10'/);
});

test('help and wrong usage have exit codes of their own', async () => {
  const terminal = new TestTerminal();
  assert.equal(await run(['--help'], terminal), 0);
  assert.match(terminal.out(), /explain +Say for each AppInst/);
  assert.equal(await run(['exec', '-h'], terminal), 0);
  assert.match(terminal.out(), /--target string/);
  assert.equal(await run(['top', '--help'], terminal), 0);
  assert.match(terminal.out(), /does not show what programs use .*\n.* docker stats --no-stream\n/);
  assert.equal(await run(['dance'], terminal), 2);
  assert.match(terminal.err(), /there is no command dance/);
  assert.equal(await run(['exec', 'shop', '--no-such'], terminal), 2);
  assert.match(terminal.err(), /--no-such/);
  assert.equal(await run(['get', '--kubeconfig', '/does/not/exist'], terminal), 1);
  assert.match(terminal.err(), /^error: cannot read \/does\/not\/exist/);
});

test('exec passes input and output on and ends with the code of the program', async (t) => {
  const api = await anAccessApi(t, (socket) => {
    socket.on('message', (message: Buffer) => {
      if (message[0] === 0) socket.send(frame(1, `got ${message.subarray(1).toString()}`));
      if (message[0] !== 255) return;
      socket.send(frame(2, 'a warning'));
      socket.send(exitStatus(7));
      socket.close();
    });
  });
  const terminal = new TestTerminal();
  terminal.stdin.end('hello');
  const argv = ['exec', 'shop', '-i', '--target', 'web', '--kubeconfig', api.kubeconfig];
  assert.equal(await run([...argv, '--', 'sh', '-c', 'exit 7'], terminal), 7);
  assert.deepEqual([terminal.out(), terminal.err()], ['got hello', 'a warning']);
  assert.deepEqual(api.requests, [
    {
      url: '/apis/access.edge.cloudlet.dev/v1alpha1/namespaces/acme/appinsts/shop/exec?command=sh&command=-c&command=exit+7&stdin=true&container=web',
      authorization: 'Bearer the-token',
    },
  ]);
});

test('a terminal is raw for the session, tells its size as it changes, and is brought back', async (t) => {
  const sizes: unknown[] = [];
  const terminal = new TestTerminal();
  terminal.isInteractive = true;
  const api = await anAccessApi(t, (socket) => {
    socket.on('message', (message: Buffer) => {
      if (message[0] !== 4) return;
      sizes.push(JSON.parse(message.subarray(1).toString()));
      if (sizes.length === 1) {
        terminal.resize(120);
        return;
      }
      socket.send(exitStatus(0));
      socket.close();
    });
  });
  const argv = ['exec', 'shop', '-it', '--kubeconfig', api.kubeconfig, '--', 'sh'];
  assert.equal(await run(argv, terminal), 0);
  assert.deepEqual(sizes, [
    { Width: 80, Height: 24 },
    { Width: 120, Height: 24 },
  ]);
  assert.deepEqual(terminal.raws, [true, false]);
});

test('a connection that breaks off is an error, and the terminal is brought back', async (t) => {
  const terminal = new TestTerminal();
  terminal.isInteractive = true;
  const api = await anAccessApi(t, (socket) => socket.terminate());
  const argv = ['shell', 'berlin', '--kubeconfig', api.kubeconfig];
  assert.equal(await run(argv, terminal), 1);
  assert.match(terminal.err(), /error: the connection to the session was lost/);
  assert.deepEqual(terminal.raws, [true, false]);
});

test('a join that was used or ended says so and what to do', () => {
  const secret = (data: Record<string, string>) => ({
    metadata: { name: 'join-berlin' },
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  });
  const now = Date.UTC(2026, 0, 2);
  assert.equal(
    joinOf(secret({ join: '{"a":1}', expiresAt: '2026-01-03T00:00:00Z' }), 'berlin', now),
    '{"a":1}',
  );
  assert.throws(
    () => joinOf(secret({ boundKey: 'SHA256:abc' }), 'berlin', now),
    /was used by the key SHA256:abc; for another member, make another by 'kubectl cloudlet join berlin --renew'/,
  );
  assert.throws(
    () => joinOf(secret({ join: '{}', expiresAt: '2026-01-01T00:00:00Z' }), 'berlin', now),
    /ended at 2026-01-01T00:00:00Z; make another/,
  );
});

test('a compose file becomes an App and an AppInst', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cloudlet-cli-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'compose.yml');
  await writeFile(path, 'services: {web: {image: "nginx:1", ports: ["8080:80"]}}\n');
  const terminal = new TestTerminal();
  assert.equal(await run(['convert', path, '--name', 'shop', '--zone', 'berlin'], terminal), 0);
  const out = terminal.out();
  assert.match(out, /kind: App\n/);
  assert.match(out, /kind: AppInst\n[\s\S]*zoneRef:\n +name: berlin/);
  await writeFile(path, 'services: {web: {}}\n');
  assert.equal(await run(['convert', path], terminal), 1);
  assert.match(terminal.err(), /^error: .*compose\.yml: services\.web/m);
});
