/** The authority of an agent, against the helper that is to believe its certificates. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { serveNodeHelper } from '@cloudlet/drivers/docker-swarm/helper';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import { FileSiteAuthority } from './site-authority.ts';
import { aFolder } from './testing/builders.ts';

const dayMs = 86_400_000;

function authorityIn(folder: string, clock: FakeClock): FileSiteAuthority {
  return new FileSiteAuthority({ folder, clock, logger: silentLogger });
}

/** What a helper with this certificate and these authorities answers to an agent, or how it refuses. */
async function asked(
  t: TestContext,
  node: { readonly key: string; readonly cert: string; readonly ca: string },
  agent: { readonly key: string; readonly cert: string; readonly ca: string },
): Promise<number | string> {
  const socketPath = join(await aFolder(t), 'no-engine.sock');
  const options = { socketPath, host: '127.0.0.1', port: 0, logger: silentLogger };
  const helper = await serveNodeHelper({ ...options, tls: node });
  t.after(() => helper.close());
  return new Promise((resolve) => {
    const place = { host: '127.0.0.1', port: helper.port, path: '/version', agent: false };
    const call = request({ ...place, ...agent, checkServerIdentity: () => undefined });
    call.on('response', ({ statusCode = 0 }) => resolve(statusCode));
    call.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'refused'));
    call.end();
  });
}

test('a helper with a certificate of one member answers every member whose authority it has', async (t) => {
  const clock = new FakeClock(Date.now());
  const one = authorityIn(await aFolder(t), clock);
  const two = authorityIn(await aFolder(t), clock);
  const three = authorityIn(await aFolder(t), clock);
  const ca = `${await one.certificate()}\n${await two.certificate()}`;
  const { key, cert } = await one.issueNode();
  const node = { key: key.reveal(), cert, ca };
  // 502: let in, and no engine is behind it.
  assert.equal(await asked(t, node, { ...(await one.agent()), ca }), 502);
  assert.equal(await asked(t, node, { ...(await two.agent()), ca }), 502);
  assert.match(String(await asked(t, node, { ...(await three.agent()), ca })), /^[A-Z]/);
  assert.match(
    String(await asked(t, node, { ...(await two.agent()), ca: await two.certificate() })),
    /^[A-Z]/,
  );
});

test("a node's certificate is for serving alone", async (t) => {
  const authority = authorityIn(await aFolder(t), new FakeClock(Date.now()));
  const ca = await authority.certificate();
  const { key, cert } = await authority.issueNode();
  const node = { key: key.reveal(), cert, ca };
  assert.match(String(await asked(t, node, node)), /^[A-Z]/);
  const { subject, keyUsage } = new X509Certificate(cert);
  assert.deepEqual([subject, keyUsage], ['CN=edge:node', ['1.3.6.1.5.5.7.3.1']]);
});

test('authority and agent stay the same over a restart, in files of the owner alone', async (t) => {
  const clock = new FakeClock();
  const folder = join(await aFolder(t), 'site-authority');
  const before = authorityIn(folder, clock);
  const [certificate, agent] = await Promise.all([before.certificate(), before.agent()]);
  const after = authorityIn(folder, clock);
  assert.equal(await after.certificate(), certificate);
  assert.deepEqual(await after.agent(), agent);
  for (const name of await readdir(folder)) {
    assert.equal((await stat(join(folder, name))).mode & 0o077, 0, name);
    assert.match(await readFile(join(folder, name), 'utf8'), /PRIVATE KEY/);
  }
});

test("the agent's certificate is made anew in the last third of its life, by the same authority", async (t) => {
  const clock = new FakeClock();
  const authority = authorityIn(await aFolder(t), clock);
  const certificate = await authority.certificate();
  const { cert } = await authority.agent();
  await clock.advance(59 * dayMs);
  assert.equal((await authority.agent()).cert, cert);
  await clock.advance(2 * dayMs);
  assert.notEqual((await authority.agent()).cert, cert);
  assert.equal(await authority.certificate(), certificate);
});

test('an authority in its last year is replaced, and the agent with it', async (t) => {
  const clock = new FakeClock();
  const authority = authorityIn(await aFolder(t), clock);
  const certificate = await authority.certificate();
  await clock.advance(3286 * dayMs);
  const next = await authority.certificate();
  assert.notEqual(next, certificate);
  const { cert } = await authority.agent();
  assert.ok(new X509Certificate(cert).verify(new X509Certificate(next).publicKey));
});
