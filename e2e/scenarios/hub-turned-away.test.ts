/**
 * Agents that hubs turn away, and how the region says so: a key that is on two machines at once, each at another
 * hub, after which a person gets the site back without the key; a key that a person takes away, of two that a
 * site has; an agent of a version that no hub speaks with.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Cloudlet, groupVersion } from '@cloudlet/crds';
import type { Lease } from '@cloudlet/operator';
import {
  type ControlPlane,
  expect,
  type Region,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';
import { eventually, type PlayedSite, playSite } from './hub-site.ts';

let dir: string;
let controlPlane: ControlPlane;
let region: Region;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'copied-'));
  controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  const replicas = { hub: 2 };
  region = await startRegion({
    controlPlane,
    dir: join(dir, 'processes'),
    replicas,
    access: false,
  });
});

after(async () => {
  await region?.stop();
  await controlPlane.stop();
  await rm(dir, { recursive: true, force: true });
});

async function aSite(name: string): Promise<PlayedSite> {
  const spec = { operator: 'campus', platform: 'Fake' };
  const object = { apiVersion: groupVersion, kind: 'Cloudlet', metadata: { name }, spec };
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
  const site = await playSite({ region, cloudlet: name, member: `${name}-1` });
  await eventually('welcome', () => site.welcomes.length > 0);
  return site;
}

async function get<T>(...what: string[]): Promise<T> {
  return JSON.parse(await controlPlane.kubectl(['get', ...what, '-o', 'json'])) as T;
}

const patch = (name: string, spec: object): Promise<string> =>
  controlPlane.kubectl([
    ...['patch', 'cloudlet', name, '--type=merge', '-p', JSON.stringify({ spec })],
  ]);

async function becomes(
  name: string,
  what: string,
  check: (status: NonNullable<Cloudlet['status']>) => unknown,
  withinMs = 30_000,
): Promise<Cloudlet> {
  return until(what, withinMs, async () => {
    const object = await get<Cloudlet>('cloudlet', name);
    assert.ok(check(object.status ?? {}), JSON.stringify(object.status));
    return object;
  });
}

const conditionIn = ({ conditions = [] }: NonNullable<Cloudlet['status']>, type: string) =>
  conditions.find((each) => each.type === type);

const reasonsOf = (site: PlayedSite): readonly string[] =>
  site.disconnects.map((reason) => reason.split(':')[0] ?? '');

/** Events of the Cloudlet with this reason, by their note. */
async function notesOf(name: string, reason: string): Promise<readonly string[]> {
  const { items } = await get<{ items: { note?: string; reason?: string; regarding?: object }[] }>(
    ...['events.events.k8s.io', '--all-namespaces'],
  );
  return items
    .filter((event) => event.reason === reason && JSON.stringify(event.regarding).includes(name))
    .map(({ note = '' }) => note);
}

async function admissions(result: string): Promise<number> {
  const texts = await Promise.all(region.hubs.map((hub) => hub.metrics()));
  const lines = texts.join('\n').split('\n');
  return lines
    .filter((line) => line.startsWith(`edge_hub_admissions_total{result="${result}"`))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Lets a stranger in by its fingerprint, as a person does who compared it. */
async function acceptWaiting(name: string, site: PlayedSite, others: readonly string[] = []) {
  const reply = await eventually('it waits', () =>
    site.replies.find(({ state }) => state === 'Waiting'),
  );
  assert.ok(reply.state === 'Waiting');
  await patch(name, { acceptedKeys: [...others, reply.fingerprint] });
  await eventually('welcome', () => site.welcomes.length > 0);
  return reply.fingerprint;
}

test('a key that is taken out of the list ends its session within seconds, and no other', async () => {
  await using first = await aSite('listed');
  const { caPin } = first;
  await using second = await playSite({ region, cloudlet: 'listed', member: 'listed-2', caPin });
  const fingerprint = await acceptWaiting('listed', second);
  const { status } = await becomes('listed', 'both keys', ({ keys }) => keys?.length === 2);
  const origins = new Map(status?.keys?.map((key) => [key.fingerprint, key.acceptedBy]));
  assert.equal(origins.get(fingerprint), 'AcceptedKeys');
  assert.deepEqual([...origins.values()].sort(), ['AcceptedKeys', 'JoinToken']);
  const began = performance.now();
  await patch('listed', { acceptedKeys: [] });
  await eventually('cut off', () => reasonsOf(second).includes('UnknownKey'));
  assert.ok(performance.now() - began < 5_000, 'within seconds');
  await becomes('listed', 'the key is off the record', ({ keys }) => keys?.length === 1);
  await until('an event', 10_000, async () =>
    expect(
      (await notesOf('listed', 'KeyRemoved')).join().includes(fingerprint),
      'none names the key',
    ),
  );
  await becomes(
    'listed',
    'it asks anew',
    ({ waiting }) => waiting?.[0]?.fingerprint === fingerprint,
  );
  assert.deepEqual(reasonsOf(first), [], 'the key that a token let in stays');
});

test('the only key of a site is revoked: the site says that it has none, and a token mends it', async () => {
  await using site = await aSite('lone');
  const { status } = await becomes('lone', 'its key', ({ keys }) => keys?.length === 1);
  const fingerprint = status?.keys?.[0]?.fingerprint ?? '';
  await patch('lone', { revokedKeys: [fingerprint] });
  await eventually('cut off', () => reasonsOf(site).includes('Revoked'));
  const after = await becomes('lone', 'no key', (now) => !now.keys && conditionIn(now, 'Accepted'));
  const accepted = conditionIn(after.status ?? {}, 'Accepted');
  assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'NoKey']);
  assert.match(accepted?.message ?? '', /Every key that the site had was taken away/);
  await assert.rejects(
    patch('lone', { acceptedKeys: [fingerprint] }),
    /a key is in acceptedKeys and in revokedKeys: remove it from one of them/,
  );
  await assert.rejects(
    patch('lone', { revokedKeys: [fingerprint, fingerprint] }),
    /spec.revokedKeys\[1\]: Duplicate value/,
  );
});

test('an agent that the hub cannot speak with is told of on its Cloudlet, until it is another version', async () => {
  await using first = await aSite('skewed');
  const { caPin, store } = first;
  await first[Symbol.asyncDispose]();
  const place = { region, cloudlet: 'skewed', member: 'skewed-1', caPin, store };
  const early = await playSite({ ...place, wireVersions: { min: 98, max: 99 } });
  const { status: refused = {} } = await becomes(
    'skewed',
    'VersionMismatch',
    (status) => conditionIn(status, 'Connected')?.reason === 'VersionMismatch',
  );
  await early[Symbol.asyncDispose]();
  assert.equal(early.welcomes.length, 0);
  assert.match(
    conditionIn(refused, 'Connected')?.message ?? '',
    /^No agent .* skewed-1 is turned away: agent test speaks wire versions 98 to 99, this hub \d+ to \d+: upgrade the region before its agents\.$/,
  );
  assert.equal(conditionIn(refused, 'Stalled')?.reason, 'VersionMismatch');
  await using _next = await playSite(place);
  const { status: well = {} } = await becomes(
    'skewed',
    'Connected',
    (status) => conditionIn(status, 'Connected')?.message === 'An agent of the site is connected.',
  );
  assert.equal(conditionIn(well, 'Stalled'), undefined);
});

test('a copied key at two hubs is found out, both are stopped, and a new key gets the site back', async () => {
  await using site = await aSite('copied');
  const { caPin, store } = site;
  const copy = { region, cloudlet: 'copied', member: 'copied-copy', caPin, store };
  await using clone = await playSite(copy);
  await eventually('welcome', () => clone.welcomes.length > 0);
  const hubs = [site, clone].map(({ welcomes }) => welcomes.at(-1)?.hub);
  assert.deepEqual([...hubs].sort(), ['hub-1', 'hub-2'], 'each is at a hub of its own');
  // Whoever claimed last holds the site, until three contests are counted.
  const found = await becomes(
    'copied',
    'DuplicateAgent',
    (status) => conditionIn(status, 'Connected')?.reason === 'DuplicateAgent',
    150_000,
  );
  assert.match(conditionIn(found.status ?? {}, 'Connected')?.message ?? '', /spec.revokedKeys/);
  await eventually('both are refused', () =>
    [site, clone].every((each) => reasonsOf(each).includes('DuplicateAgent')),
  );
  const lease = () => get<Lease>('lease', 'site-copied', '-n', 'cloudlet-system');
  const { leaseTransitions = 0, holderIdentity } = (await lease()).spec ?? {};
  assert.equal(holderIdentity, '', 'nobody acts');
  assert.ok((leaseTransitions ?? 0) <= 4, `it changed hands ${leaseTransitions} times`);
  // They ask on, seldom, and change nothing.
  const refusals = await admissions('DuplicateAgent');
  const key = found.status?.keys?.[0]?.fingerprint ?? '';
  await using fresh = await playSite({ region, cloudlet: 'copied', member: 'copied-2', caPin });
  await patch('copied', { revokedKeys: [key] });
  await acceptWaiting('copied', fresh);
  await becomes(
    'copied',
    'Connected',
    (status) => conditionIn(status, 'Connected')?.status === 'True',
  );
  assert.ok((await admissions('DuplicateAgent')) - refusals <= 6, 'they ask seldom');
  assert.equal((await lease()).spec?.leaseTransitions, (leaseTransitions ?? 0) + 1);
  const { status } = await get<Cloudlet>('cloudlet', 'copied');
  assert.deepEqual(
    status?.keys?.map(({ member }) => member),
    ['copied-2'],
  );
});
