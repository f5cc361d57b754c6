/**
 * Agents and hubs of neighbouring versions: what each makes of a peer that is older or newer than itself.
 * The frames of `testdata` were recorded from agents and hubs of the version that its file names.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import type { TunnelClientOptions } from './agent/client.ts';
import { issueServer } from './identity/index.ts';
import { aPlan, aRegion, aReport, eventually, linkOf, type Region } from './testing.ts';
import { agentMessage, hubMessage, planHead, wireVersions } from './wire.ts';

const { min, max } = wireVersions;

/** An agent whose hello names other versions, as a build of them says it. */
const speaking = (versions: { min: number; max: number }): Partial<TunnelClientOptions> => ({
  wireVersions: versions,
});

for (const [whose, versions] of [
  ['one version older', { min: min - 1, max }],
  ['one version newer', { min, max: max + 1 }],
] as const)
  test(`an agent ${whose} than the hub works with what both speak`, async () => {
    await using region = await aRegion();
    const { client, handler } = await region.agent(speaking(versions));
    const link = await linkOf(region);
    link.sendPlan(aPlan('a'), 'hash-a');
    client.report(aReport('a'));
    await eventually('the plan', () => handler.plans.has('a'));
    await eventually('the report', () => region.backend.reports.length === 1);
  });

for (const [whose, versions, remedy] of [
  ['too old', { min: min - 2, max: min - 1 }, 'upgrade the agent'],
  ['too new', { min: max + 1, max: max + 2 }, 'upgrade the region before its agents'],
] as const)
  test(`an agent that is ${whose} is refused, and both ends log why and what to do`, async () => {
    const told: { end: string; level: string; text: string }[] = [];
    await using region = await aRegion({ logger: keeping(told, 'hub') });
    const logger = keeping(told, 'agent');
    const { client } = await region.agent({ ...speaking(versions), agentVersion: '7.7.7', logger });
    const why =
      `agent 7.7.7 speaks wire versions ${versions.min} to ${versions.max}, ` +
      `this hub ${min} to ${max}: ${remedy}`;
    const by = (end: string) => told.find((line) => line.end === end && line.text.includes(why));
    await eventually('the word of both', () => by('hub') && by('agent'));
    assert.equal(by('agent')?.level, 'warn');
    assert.equal(client.connected, false);
    assert.deepEqual(region.backend.links, []);
    const [{ identity, member } = {}] = region.backend.turnedAways;
    assert.equal(identity?.cloudlet, 'site-1');
    assert.deepEqual([member?.reason, member?.message], ['VersionMismatch', why]);
  });

function keeping(
  told: { end: string; level: string; text: string }[],
  end: string,
): NonNullable<Parameters<typeof aRegion>[0]>['logger'] & object {
  const log = (level: string, message: string, fields: object = {}): void =>
    void told.push({ end, level, text: `${message} ${JSON.stringify(fields)}` });
  return {
    log,
    debug: (...line) => log('debug', ...line),
    info: (...line) => log('info', ...line),
    warn: (...line) => log('warn', ...line),
    error: (...line) => log('error', ...line),
    with: () => keeping(told, end),
  };
}

interface Recorded {
  readonly from: 'agent' | 'hub';
  readonly frame: { readonly t: string };
}

const folder = join(import.meta.dirname, '../testdata');
const recordings = globSync('frames-*.jsonl', { cwd: folder }).map((file) => ({
  version: /^frames-(.*)\.jsonl$/.exec(basename(file))?.[1] ?? '',
  frames: readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Recorded),
}));

const schemas = { agent: agentMessage, hub: hubMessage };

for (const { version, frames } of recordings) {
  test(`every kind of message of ${version} is on record`, () => {
    const typesOf = (from: 'agent' | 'hub', all: readonly string[]): readonly string[] =>
      all.filter((t) => !frames.some((one) => one.from === from && one.frame.t === t));
    for (const from of ['agent', 'hub'] as const) {
      const known = schemas[from].options.map((option) => option.shape.t.value);
      assert.deepEqual(typesOf(from, known), [], from);
    }
  });

  test(`this build speaks a wire version with ${version}`, () => {
    const hello = frames.find(({ frame }) => frame.t === 'hello')?.frame;
    const { versions } = agentMessage.options[0].parse(hello);
    assert.ok(versions.max >= min && versions.min <= max, JSON.stringify(versions));
  });

  frames.forEach(({ from, frame }, index) => {
    const name = `${frame.t} of ${version} from the ${from} (frame ${index + 1})`;
    test(`${name} is read as it was meant`, () => {
      assert.deepEqual(schemas[from].parse(frame), frame);
    });
    test(`${name} is read alike with fields of a later version in it`, () => {
      assert.deepEqual(schemas[from].parse(later(frame)), frame);
    });
  });
}

test('frames of a version are on record', () => {
  assert.ok(recordings.length > 0);
});

/** Objects whose keys are names of the user's, not fields. */
const maps = ['env', 'secretEnv', 'nodeLabels', 'registryAuth'];

/** The same with an unknown field in each object. */
function later(value: unknown): unknown {
  if (Array.isArray(value)) return (value as readonly unknown[]).map(later);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value as Readonly<Record<string, unknown>>).map(([name, child]) => [
    name,
    maps.includes(name) ? child : later(child),
  ]);
  return { ...Object.fromEntries(fields), ofALaterVersion: { anything: [1] } };
}

/** A hub that says what it is told to, as a newer one may, to whoever says hello. */
async function aNewerHub(region: Region, lines: readonly object[]): Promise<NewerHub> {
  const { certificatePem, keyPem } = await issueServer(region.authority, {
    ...{ role: 'hub', hosts: ['127.0.0.1'] },
  });
  const heard: { t: string }[] = [];
  const server = createSecureServer({
    ...{ key: keyPem.reveal(), cert: certificatePem, ca: region.authority.certificatePem },
    ...{ requestCert: true, minVersion: 'TLSv1.3' },
  });
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200 });
    stream.setEncoding('utf8');
    let text = '';
    stream.on('data', (chunk: string) => {
      const whole = (text + chunk).split('\n');
      text = whole.pop() ?? '';
      heard.push(...whole.map((line) => JSON.parse(line) as { t: string }));
    });
    for (const line of lines) stream.write(`${JSON.stringify(line)}\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ address: `127.0.0.1:${port}`, heard },
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

interface NewerHub extends AsyncDisposable {
  readonly address: string;
  readonly heard: readonly { readonly t: string }[];
}

const welcome = {
  ...{ t: 'welcome', version: max, hub: 'hub-9', time: Date.now(), mood: 'sunny' },
  ...{ cloudlet: 'site-1', cloudletUid: 'uid-1' },
};
const planLine = (plan: object) => ({ t: 'plan', hash: 'h', plan, weight: 3 });

test('an agent passes over what a newer hub says that it does not know, and does the rest', async () => {
  await using region = await aRegion();
  await using hub = await aNewerHub(region, [
    welcome,
    { t: 'weather', wind: 3 },
    planLine({ ...aPlan('a'), shade: 'blue', object: { ...aPlan('a').object, more: 1 } }),
    { t: 'open', session: { id: 's', kind: 'hologram', user: 'jane' } },
    { t: 'synced', orphans: [], elapsed: 1 },
  ]);
  const { client, handler } = await region.agent({ hub: hub.address });
  await eventually('the end of the differences', () => handler.synchronizations.length === 1);
  assert.deepEqual(handler.plans.get('a')?.plan, aPlan('a'));
  assert.deepEqual(handler.unreadables, []);
  assert.ok(client.connected);
});

test('a plan with values of a later version is answered, and the one before it stays', async () => {
  await using region = await aRegion();
  const wanted = aPlan('a', 2);
  await using hub = await aNewerHub(region, [
    welcome,
    planLine(aPlan('a')),
    planLine({ ...wanted, requires: ['hologram'], workload: { kind: 'Hologram', light: 1 } }),
    planLine({ ...aPlan('b'), powerState: 'Asleep' }),
    planLine({ id: '../etc', sequence: 'x' }),
    { t: 'synced', orphans: [] },
  ]);
  const { client, handler } = await region.agent({ hub: hub.address });
  await eventually('the end of the differences', () => handler.synchronizations.length === 1);
  assert.deepEqual(handler.unreadables, [
    { id: 'a', sequence: 2, requires: ['hologram'], object: wanted.object },
    { id: 'b', sequence: 1, object: aPlan('b').object },
  ]);
  assert.equal(handler.plans.get('a')?.plan.sequence, 1);
  assert.ok(client.connected);
});

test('of a plan that cannot be read the head is read by itself', () => {
  const { id, sequence, object } = aPlan('a');
  assert.deepEqual(planHead.parse({ ...aPlan('a'), workload: 7 }), { id, sequence, object });
});
