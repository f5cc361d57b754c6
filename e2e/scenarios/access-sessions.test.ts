/**
 * Sessions as a user of the region opens them: through the API server, by the aggregated API, with RBAC and
 * a token of their own. The test plays the site's agent and what runs there.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { type SessionRequest, serveSession, type SessionExit } from '@cloudlet/tunnel';
import { WebSocket } from 'ws';
import {
  type ControlPlane,
  type Region,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';
import { eventually, moment, type PlayedSite, playSite } from './hub-site.ts';

let dir: string;
let controlPlane: ControlPlane;
let region: Region;
let site: PlayedSite;
let authority: string;
const tokens: Record<string, string> = {};
const asked: SessionRequest[] = [];
const sizes: string[] = [];
let flooded = 0;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'access-'));
  controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  const args = {
    access: ['--idle-seconds', '6', '--sessions-per-user', '3', '--open-seconds', '8'],
  };
  region = await startRegion({ controlPlane, dir: join(dir, 'processes'), args });
  const { kubectl } = controlPlane;
  const view = JSON.parse(await kubectl(['config', 'view', '--raw', '-o', 'json'])) as {
    clusters: { cluster: { 'certificate-authority-data': string } }[];
  };
  const [{ cluster } = { cluster: undefined }] = view.clusters;
  authority = Buffer.from(cluster?.['certificate-authority-data'] ?? '', 'base64').toString();
  await kubectl(['create', 'namespace', 'shop']);
  for (const [user, role] of [
    ['dev', 'cloudlet-developer-contributor'],
    ['eve', 'cloudlet-developer-viewer'],
  ] as const) {
    await kubectl(['create', 'serviceaccount', user, '-n', 'shop']);
    const subject = `--serviceaccount=shop:${user}`;
    await kubectl(['create', 'rolebinding', user, '-n', 'shop', `--clusterrole=${role}`, subject]);
    tokens[user] = (await kubectl(['create', 'token', user, '-n', 'shop'])).trim();
  }
  await kubectl(['create', 'serviceaccount', 'boss', '-n', 'shop']);
  const boss = '--serviceaccount=shop:boss';
  await kubectl(['create', 'clusterrolebinding', 'boss', '--clusterrole=cloudlet-admin', boss]);
  tokens['boss'] = (await kubectl(['create', 'token', 'boss', '-n', 'shop'])).trim();
  await placeWeb();
  const available = ['wait', '--for=condition=Available', '--timeout=60s'];
  await kubectl([...available, 'apiservice/v1alpha1.access.edge.cloudlet.dev'], {
    timeoutMs: 70_000,
  });
});

after(async () => {
  await site?.[Symbol.asyncDispose]();
  await region?.stop();
  await controlPlane.stop();
  await rm(dir, { recursive: true, force: true });
});

async function apply(kind: string, metadata: object, spec: object): Promise<void> {
  const object = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind, metadata, spec };
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
}

/** One instance, placed at a site that the test plays. */
async function placeWeb(): Promise<void> {
  await apply('Cloudlet', { name: 'north' }, { operator: 'campus', platform: 'Fake' });
  await apply('Flavor', { name: 'small' }, { vcpus: '100m', memory: '64Mi' });
  site = await playSite({
    region,
    cloudlet: 'north',
    member: 'phone-1',
    session: (request, stream) => serveSession(stream, runAtSite(request)),
  });
  const { cloudletUid: uid } = await eventually('welcome', () => site.welcomes[0]);
  const time = '2026-01-01T00:00:00Z';
  const condition = {
    type: 'PlatformReady',
    status: 'True' as const,
    reason: 'Serving',
    message: '',
  };
  site.client.reportSite({
    site: {
      ...{ uid, boot: site.boot, sequence: 1, addresses: ['192.0.2.1'] },
      ...{ architectures: ['linux/amd64'], capacity: { cpuMillis: 4000, memoryBytes: 2 ** 32 } },
    },
    conditions: [{ ...condition, lastTransitionTime: time }],
  });
  const app = {
    version: '1',
    deployment: 'Docker',
    image: 'web:1',
    defaultFlavorRef: { name: 'small' },
  };
  await apply('App', { name: 'web', namespace: 'shop' }, app);
  const refs = { appRef: { name: 'web' }, cloudletRef: { name: 'north' } };
  await apply('AppInst', { name: 'web', namespace: 'shop' }, refs);
  await apply(
    'AppInst',
    { name: 'lost', namespace: 'shop' },
    { ...refs, cloudletRef: { name: 'none' } },
  );
  await eventually('the plan', () => site.plans[0]);
}

/** What runs at the site: an echo, a program that fails, one that floods, one that is silent. */
function runAtSite(request: SessionRequest) {
  asked.push(request);
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const exit = Promise.withResolvers<SessionExit>();
  const end = (how: SessionExit): void => {
    stdout.end();
    stderr.end();
    exit.resolve(how);
  };
  const program = request.kind === 'exec' ? request.argv?.[0] : request.kind;
  if (program === 'fail') {
    stderr.write('no such thing\n');
    end({ code: 3 });
  } else if (program === 'logs') {
    stdout.write('first\nsecond\n');
    if (!request.follow) end({ code: 0 });
  } else if (program === 'broken') {
    end({ reason: 'the engine is not there' });
  } else if (program === 'flood') {
    flood(stdout).catch(() => undefined); // the reader went
  } else if (program !== 'silent') {
    stdin.pipe(stdout, { end: false });
    stdin.once('end', () => end({ code: 0 }));
  }
  return {
    ...{ stdin, stdout, stderr, exit: exit.promise },
    resize: async (columns: number, rows: number) => void sizes.push(`${columns}x${rows}`),
    close: () => end({ reason: 'closed' }),
  };
}

async function flood(stdout: PassThrough): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  while (!stdout.destroyed && !stdout.writableEnded) {
    flooded += chunk.length;
    if (!stdout.write(chunk)) await Promise.race([once(stdout, 'drain'), once(stdout, 'close')]);
  }
}

const group = '/apis/access.edge.cloudlet.dev/v1alpha1';
const web = `${group}/namespaces/shop/appinsts/web`;

interface Caller {
  readonly socket: WebSocket;
  readonly messages: Buffer[];
  readonly closed: Promise<number>;
}

function dial(path: string, user = 'dev', protocol = 'v5.channel.k8s.io'): Caller {
  const url = controlPlane.server.replace('https:', 'wss:') + path;
  const headers = { authorization: `Bearer ${tokens[user]}` };
  const socket = new WebSocket(url, [protocol], { ca: authority, headers });
  const messages: Buffer[] = [];
  socket.on('message', (data: Buffer) => void messages.push(data));
  socket.on('error', () => undefined); // what a test expects is in `refusalOf`
  const closed = new Promise<number>((resolve) => socket.once('close', (code) => resolve(code)));
  return { socket, messages, closed };
}

async function open(path: string, user?: string, protocol?: string): Promise<Caller> {
  const caller = dial(path, user, protocol);
  await Promise.race([
    once(caller.socket, 'open'),
    caller.closed.then(() => assert.fail('closed before it was open')),
  ]);
  return caller;
}

/** The status and body of an upgrade that was refused. */
async function refusalOf(path: string, user?: string): Promise<{ code: number; body: string }> {
  const { socket } = dial(path, user);
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    NodeJS.ReadableStream & { statusCode: number },
  ];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { code: response.statusCode, body };
}

const textOf = ({ messages }: Caller, channel: number): string =>
  messages
    .filter((message) => message[0] === channel)
    .map((message) => message.subarray(1).toString())
    .join('');

const statusOf = (caller: Caller) =>
  JSON.parse(textOf(caller, 3)) as {
    status: string;
    reason?: string;
    message?: string;
    details?: { causes: { reason: string; message: string }[] };
  };

const frame = (channel: number, data: string | number[]): Buffer =>
  Buffer.concat([Buffer.of(channel), Buffer.from(data as string)]);

test('exec carries input and output, and tells success before it closes', async () => {
  const caller = await open(`${web}/exec?command=cat&stdin=true&stdout=true`);
  caller.socket.send(frame(0, 'hello '));
  caller.socket.send(frame(0, 'site'));
  caller.socket.send(frame(255, [0]));
  assert.equal(await caller.closed, 1000);
  assert.equal(textOf(caller, 1), 'hello site');
  assert.equal(statusOf(caller).status, 'Success');
  const { instance, user, argv, kind } = asked.at(-1) ?? {};
  assert.equal(instance, site.plans[0]?.id);
  assert.deepEqual([kind, argv, user], ['exec', ['cat'], 'system:serviceaccount:shop:dev']);
});

test('the exit code and the error output come back, by v4 too', async () => {
  const caller = await open(`${web}/exec?command=fail`, 'dev', 'v4.channel.k8s.io');
  await caller.closed;
  assert.equal(textOf(caller, 2), 'no such thing\n');
  const { status, reason, details } = statusOf(caller);
  assert.deepEqual([status, reason], ['Failure', 'NonZeroExitCode']);
  assert.deepEqual(details?.causes, [{ reason: 'ExitCode', message: '3' }]);
});

test('a session that breaks at the site says why', async () => {
  const caller = await open(`${web}/exec?command=broken`);
  await caller.closed;
  assert.match(statusOf(caller).message ?? '', /the engine is not there/);
});

test('a terminal is resized', async () => {
  const caller = await open(`${web}/exec?command=sh&tty=true&stdin=true`);
  caller.socket.send(frame(4, '{"Width":132,"Height":50}'));
  await eventually('resized', () => sizes.includes('132x50'));
  caller.socket.send(frame(255, [0]));
  await caller.closed;
});

test('log is plain text for a plain request', async () => {
  const text = await controlPlane.kubectl(['get', '--raw', `${web}/log?tailLines=2`]);
  assert.equal(text, 'first\nsecond\n');
  assert.equal(asked.at(-1)?.tailLines, 2);
});

test('a followed log flows while it is open, and ends at the site when the reader goes', async () => {
  const url = new URL(controlPlane.server + `${web}/log?follow=true`);
  const headers = { authorization: `Bearer ${tokens['dev']}` };
  const call = httpsRequest(url, { ca: authority, headers }).end();
  const [response] = (await once(call, 'response')) as [NodeJS.ReadableStream];
  const [chunk] = (await once(response, 'data')) as [Buffer];
  assert.match(chunk.toString(), /first/);
  call.destroy();
  await until('the session ended', 10_000, async () =>
    assert.match(await metrics(), /edge_access_sessions\{kind="logs"\} 0/),
  );
});

const metrics = async (): Promise<string> => (await region.access?.metrics()) ?? '';

test('a forwarded port is a stream both ways', async () => {
  const caller = await open(`${web}/portforward?port=8080`);
  caller.socket.send(frame(0, 'GET /'));
  await eventually('an answer', () => textOf(caller, 1) === 'GET /');
  assert.equal(asked.at(-1)?.port, 8080);
  caller.socket.close();
  await caller.closed;
});

test('a shell on the site itself is for who may have it', async () => {
  const shell = `${group}/cloudlets/north/shell?stdin=true`;
  assert.equal((await refusalOf(shell, 'dev')).code, 403);
  const caller = await open(shell, 'boss');
  caller.socket.send(frame(0, 'uname'));
  await eventually('an answer', () => textOf(caller, 1) === 'uname');
  assert.equal(asked.at(-1)?.instance, undefined);
  caller.socket.close();
  await caller.closed;
});

test('a viewer is refused by the API server', async () => {
  assert.equal((await refusalOf(`${web}/exec?command=cat`, 'eve')).code, 403);
});

test('what is not there or not placed is told without the name of a site', async () => {
  const missing = await refusalOf(`${group}/namespaces/shop/appinsts/nothing/exec?command=cat`);
  assert.equal(missing.code, 404);
  const lost = await refusalOf(`${group}/namespaces/shop/appinsts/lost/exec?command=cat`);
  assert.equal(lost.code, 409);
  assert.match(lost.body, /AppInst shop\/lost is not placed yet/);
});

test('exec without a command is refused by name of the parameter', async () => {
  const { code, body } = await refusalOf(`${web}/exec`);
  assert.equal(code, 400);
  assert.match(body, /command: exec wants one/);
});

test('a caller who stops reading stops the site, and delays nobody', async () => {
  const stalled = await open(`${web}/exec?command=flood`);
  stalled.socket.pause();
  let before = -1;
  await until('the flood stands', 30_000, async () => {
    const now = flooded;
    const isStill = now === before;
    before = now;
    await moment(500);
    assert.ok(isStill && now > 0, `${now} bytes`);
  });
  assert.ok(flooded < 64 * 1024 * 1024, `${flooded} bytes were taken`);
  const caller = await open(`${web}/exec?command=fail`);
  await caller.closed;
  assert.equal(statusOf(caller).reason, 'NonZeroExitCode');
  stalled.socket.terminate();
  await stalled.closed;
});

test('a user has as many sessions as allowed, and one more is told so', async () => {
  await until('none is open', 10_000, async () =>
    assert.match(await metrics(), /edge_access_sessions\{kind="exec"\} 0/),
  );
  const callers = await Promise.all(
    [1, 2, 3].map(() => open(`${web}/exec?command=cat&stdin=true`)),
  );
  const { code, body } = await refusalOf(`${web}/exec?command=cat`);
  assert.equal(code, 429);
  assert.match(body, /3 sessions are open/);
  for (const caller of callers) caller.socket.send(frame(255, [0]));
  await Promise.all(callers.map(({ closed }) => closed));
});

test('a session without data ends with a reason', async () => {
  const caller = await open(`${web}/exec?command=silent`);
  assert.equal(await caller.closed, 1000);
  assert.match(statusOf(caller).message ?? '', /nothing was sent for 6 s/);
});

test('kubectl lists the API, and who comes around the API server is nobody', async () => {
  const listed = await controlPlane.kubectl(['api-resources', '--api-group=edge.cloudlet.dev']);
  assert.match(listed, /appinsts/);
  const service = JSON.parse(
    await controlPlane.kubectl([
      'get',
      'service',
      'cloudlet-access',
      '-n',
      'cloudlet-system',
      '-o',
      'json',
    ]),
  ) as { spec: { ports: { port: number }[] } };
  const port = service.spec.ports[0]?.port ?? 0;
  const headers = { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters' };
  const call = httpsRequest({
    host: '127.0.0.1',
    port,
    path: `${web}/log`,
    headers,
    rejectUnauthorized: false,
  });
  const [response] = (await once(call.end(), 'response')) as [
    { statusCode: number; resume(): void },
  ];
  response.resume();
  assert.equal(response.statusCode, 401);
});

test('a site that is gone is told at once', async () => {
  await site[Symbol.asyncDispose]();
  await until('not connected', 60_000, async () => {
    const { code, body } = await refusalOf(`${web}/exec?command=cat`);
    assert.equal(code, 503);
    assert.match(body, /AppInst shop\/web: its site cannot be reached now/);
    assert.doesNotMatch(body, /north/);
  });
});
