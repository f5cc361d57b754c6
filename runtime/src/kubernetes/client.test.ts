import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import {
  ConflictError,
  DeadlineError,
  ForbiddenError,
  GoneError,
  InvalidError,
  NotFoundError,
  ProtocolError,
  TerminalError,
  TooManyRequestsError,
  UnreachableError,
  createLogger,
  silentLogger,
  systemClock,
} from '../base/index.ts';
import { createClient } from './client.ts';
import { coreTypes } from './core-types.ts';
import { accessTo, clientOf, json, serve, things, until } from './testing/harness.ts';
import type { KubernetesObject } from './types.ts';

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

const thing = { metadata: { name: 'a', resourceVersion: '7' } };

test('each call goes to its path with its body and content type', async () => {
  await using server = await serve((_, response) => json(response, 200, { metadata: {} }));
  const client = clientOf(server.url);
  const maps = client.resource<ConfigMap>(coreTypes.configMaps);
  const metadata = { name: 'a', namespace: 'n' };
  await maps.get('a', 'n');
  await maps.create({ metadata });
  await maps.replace({ metadata }, { fieldManager: 'me' });
  await maps.apply({ metadata, data: { x: '1' } }, { fieldManager: 'me', subresource: 'status' });
  await maps.mergePatch('a', 'n', { data: { x: null } });
  await maps.delete('a', 'n', { uid: 'u' });
  await client.close();
  const shown = server.asked.map(({ method, url, headers, body }) =>
    [method, url, headers['content-type'] ?? '-', body].join(' '),
  );
  const typed = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"}';
  const path = '/api/v1/namespaces/n/configmaps';
  assert.deepEqual(shown, [
    `GET ${path}/a - `,
    `POST ${path} application/json ${typed}}`,
    `PUT ${path}/a?fieldManager=me application/json ${typed}}`,
    `PATCH ${path}/a/status?fieldManager=me&force=true application/apply-patch+yaml ${typed},"data":{"x":"1"}}`,
    `PATCH ${path}/a application/merge-patch+json {"data":{"x":null}}`,
    `DELETE ${path}/a application/json {"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u"}}`,
  ]);
});

const refusals = [
  [400, InvalidError],
  [401, ForbiddenError],
  [403, ForbiddenError],
  [404, NotFoundError],
  [408, UnreachableError],
  [409, ConflictError],
  [410, GoneError],
  [422, InvalidError],
  [429, TooManyRequestsError],
  [500, UnreachableError],
  [503, UnreachableError],
  [504, UnreachableError],
] as const;

for (const [code, expected] of refusals) {
  test(`${code} is a ${expected.name} that names verb and object`, async () => {
    await using server = await serve((_, response) => json(response, code, { message: 'because' }));
    const client = clientOf(server.url);
    const call = client
      .resource(things)
      .apply(thing, { fieldManager: 'me', subresource: 'status' });
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof expected, String(error));
      assert.equal(error.message, 'apply Thing a (status): because');
      return true;
    });
    await client.close();
  });
}

test('a refusal for a field keeps which one', async () => {
  const causes = [{ reason: 'FieldValueInvalid', field: 'spec.port', message: 'too high' }];
  const status = { message: 'it is invalid', details: { causes } };
  await using server = await serve((_, response) => json(response, 422, status));
  const client = clientOf(server.url);
  await assert.rejects(client.resource(things).create(thing), (error) => {
    assert.ok(error instanceof InvalidError);
    assert.deepEqual(error.causes, [{ field: 'spec.port', message: 'too high' }]);
    return true;
  });
  await client.close();
});

for (const [code, header, expectedMs] of [
  [429, '7', 7_000],
  [503, '2', 2_000],
  [429, '86400', 300_000],
  [429, undefined, 1_000],
] as const) {
  test(`${code} with Retry-After ${header} asks for ${expectedMs} ms`, async () => {
    await using server = await serve((_, response) => {
      if (header) response.setHeader('retry-after', header);
      json(response, code, { message: 'later' });
    });
    const client = clientOf(server.url);
    await assert.rejects(client.resource(things).get('a'), (error) => {
      assert.ok(error instanceof TooManyRequestsError, String(error));
      assert.equal(error.retryAfterMs, expectedMs);
      return true;
    });
    await client.close();
  });
}

test('a version that the server has not reached means listing again', async () => {
  const details = { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large' }] };
  await using server = await serve((_, response) => json(response, 504, { message: 'm', details }));
  const client = clientOf(server.url);
  await assert.rejects(client.resource(things).get('a'), GoneError);
  await client.close();
});

test('impersonation sends the user and every group', async () => {
  await using server = await serve((_, response) => json(response, 200, thing));
  const client = clientOf(server.url);
  const impersonate = { user: 'system:serviceaccount:s:a', groups: ['g1', 'g2'] };
  await client.resource(things).get('a', undefined, { impersonate });
  await client.resource(things).get('a');
  await client.close();
  const [first, second] = server.asked;
  assert.equal(first?.headers['impersonate-user'], 'system:serviceaccount:s:a');
  assert.equal(first?.headers['impersonate-group'], 'g1, g2');
  assert.equal(second?.headers['impersonate-user'], undefined);
});

test('a call that gets no answer in time fails by its name', async () => {
  await using server = await serve(() => undefined);
  const client = clientOf(server.url);
  const call = client.resource(things).get('a', undefined, { timeoutMs: 50 });
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof DeadlineError);
    assert.match(error.message, /^get Thing a: no answer within 50 ms/);
    return true;
  });
  await client.close();
});

test('a call ends with the reason of its signal', async () => {
  const stop = new AbortController();
  await using server = await serve(() => stop.abort(new Error('shutting down')));
  const client = clientOf(server.url);
  const call = client.resource(things).create(thing, { signal: stop.signal });
  await assert.rejects(call, /shutting down/);
  await client.close();
});

test('a call that ended while it waited for a connection is never sent', async () => {
  const held: ServerResponse[] = [];
  await using server = await serve((_, response) => void held.push(response));
  const client = createClient({
    ...{ access: accessTo(server.url), logger: silentLogger, clock: systemClock },
    ...{ userAgent: 'test', connections: 1 },
  });
  const resource = client.resource(things);
  const first = resource.get('first');
  await until(
    () => held.length === 1,
    () => 'the first call',
  );
  const stop = new AbortController();
  const second = assert.rejects(resource.create(thing, { signal: stop.signal }), /not any more/);
  const third = resource.get('third');
  stop.abort(new Error('not any more'));
  await second;
  json(held[0]!, 200, thing);
  await first;
  await until(
    () => held.length === 2,
    () => 'the third call',
  );
  json(held[1]!, 200, thing);
  await third;
  await client.close();
  assert.deepEqual(
    server.asked.map(({ url }) => url.split('/').at(-1)),
    ['first', 'third'],
  );
});

test('a read that met a closed connection is sent again, a write is not', async () => {
  await using server = await serve(({ method }, response) => {
    const isFirst = server.asked.filter((each) => each.method === method).length === 1;
    if (isFirst) response.socket?.resetAndDestroy();
    else json(response, 200, thing);
  });
  const client = clientOf(server.url);
  assert.equal((await client.resource(things).get('a')).metadata.name, 'a');
  await assert.rejects(client.resource(things).create(thing), UnreachableError);
  await client.close();
  assert.deepEqual(
    server.asked.map(({ method }) => method),
    ['GET', 'GET', 'POST'],
  );
});

test('nobody at the address is unreachable, and a closed client says that it is closed', async () => {
  const client = clientOf('http://127.0.0.1:1');
  await assert.rejects(client.resource(things).get('a'), UnreachableError);
  await client.close();
  await assert.rejects(client.resource(things).get('a'), /the client is closed/);
});

test('an answer that is no object breaks the protocol', async () => {
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"metadata":');
  });
  const client = clientOf(server.url);
  await assert.rejects(client.resource(things).get('a'), ProtocolError);
  await assert.rejects(client.resource(things).list(), ProtocolError);
  await client.close();
});

test('a raw answer that is no JSON comes as text', async () => {
  await using server = await serve((_, response) => response.end('ok'));
  const client = clientOf(server.url);
  assert.equal(await client.request('GET', '/readyz'), 'ok');
  await client.close();
});

test('an object in a namespace needs one, and no name leads to another path', async () => {
  const client = clientOf('http://127.0.0.1:1');
  await assert.rejects(client.resource(coreTypes.secrets).get('a'), TerminalError);
  await assert.rejects(client.resource(things).get('..'), TypeError);
  await assert.rejects(client.resource(things).get(''), TypeError);
  await client.close();
});

test('a warning of the server is logged once', async () => {
  await using server = await serve((_, response) => {
    response.setHeader('warning', '299 - "unknown field spec.x"');
    json(response, 200, thing);
  });
  const lines: string[] = [];
  const logger = createLogger({ write: (line) => void lines.push(line) });
  const client = createClient({
    access: accessTo(server.url),
    logger,
    clock: systemClock,
    userAgent: 't',
  });
  await client.resource(things).get('a');
  await client.resource(things).get('a');
  await client.close();
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /unknown field spec\.x/);
});

test('requests are counted by code, method and host', async () => {
  await using server = await serve(({ method }, response) =>
    json(response, method === 'GET' ? 200 : 409, thing),
  );
  const metrics = new Registry();
  const options = { logger: silentLogger, clock: systemClock, userAgent: 't', metrics };
  const client = createClient({ access: accessTo(server.url), ...options });
  await client.resource(things).get('a');
  await client
    .resource(things)
    .create(thing)
    .catch(() => undefined);
  await client.close();
  const host = new URL(server.url).host;
  const text = await metrics.metrics();
  assert.ok(
    text.includes(`rest_client_requests_total{code="200",method="GET",host="${host}"} 1`),
    text,
  );
  assert.ok(text.includes(`rest_client_requests_total{code="409",method="POST",host="${host}"} 1`));
});

test('a token of an exec plug-in that the server refuses is asked for anew, once', async () => {
  await using server = await serve(({ headers }, response) =>
    json(response, headers.authorization === 'Bearer token-2' ? 200 : 401, thing),
  );
  const folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  // Each run gives the next token.
  await writeFile(
    join(folder, 'plugin'),
    `#!/bin/sh\necho x >> ${folder}/runs\nprintf '{"status":{"token":"token-%d"}}' $(wc -l < ${folder}/runs)\n`,
  );
  await chmod(join(folder, 'plugin'), 0o755);
  const user = {
    exec: { apiVersion: 'client.authentication.k8s.io/v1', command: `${folder}/plugin` },
  };
  const kubeconfig = join(folder, 'config');
  const config = {
    clusters: [{ name: 'c', cluster: { server: server.url } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  let nowMs = 0; // credentials are read anew at most once a second
  const clock = { ...systemClock, monotonic: () => (nowMs += 1_100) };
  const client = createClient({ kubeconfig, logger: silentLogger, clock, userAgent: 't' });
  assert.equal((await client.resource(things).get('a')).metadata.name, 'a');
  await client.close();
  await rm(folder, { recursive: true });
  assert.deepEqual(
    server.asked.map(({ headers }) => headers.authorization),
    ['Bearer token-1', 'Bearer token-2'],
  );
});

test('a kubeconfig that is missing or names no cluster is told as such', () => {
  const options = { logger: silentLogger, clock: systemClock, userAgent: 't' };
  assert.throws(
    () => createClient({ kubeconfig: '/nonexistent/config', ...options }),
    (error) => error instanceof TerminalError && /nonexistent/.test(error.message),
  );
});
