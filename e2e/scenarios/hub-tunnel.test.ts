/**
 * A site's whole life through the hub, with the real operator and a real API server; the test plays the
 * agent, honest and not.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { AppInst, Cloudlet, CloudletLedger, Plan } from '@cloudlet/crds';
import {
  type ControlPlane,
  type Region,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';
import { objectOfRemedy } from './doctor-remedy.ts';
import { eventually, type PlayedSite, playSite } from './hub-site.ts';

let dir: string;
let controlPlane: ControlPlane;
let region: Region;
let site: PlayedSite;
let other: PlayedSite;
let plan: Plan;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tunnel-'));
  controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  region = await startRegion({ controlPlane, dir: join(dir, 'processes'), access: false });
  await controlPlane.kubectl(['create', 'namespace', 'shop']);
  await apply('Cloudlet', { name: 'north' }, { operator: 'campus', platform: 'Fake' });
  await apply('Cloudlet', { name: 'south' }, { operator: 'campus', platform: 'Fake' });
  await apply('Flavor', { name: 'small' }, { vcpus: '100m', memory: '64Mi' });
});

after(async () => {
  await site?.[Symbol.asyncDispose]();
  await other?.[Symbol.asyncDispose]();
  await region?.stop();
  await controlPlane.stop();
  await rm(dir, { recursive: true, force: true });
});

async function apply(kind: string, metadata: object, spec: object): Promise<void> {
  const object = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind, metadata, spec };
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
}

async function get<T>(...what: string[]): Promise<T> {
  return JSON.parse(await controlPlane.kubectl(['get', ...what, '-o', 'json'])) as T;
}

const conditionOf = (object: Cloudlet | AppInst, type: string) =>
  object.status?.conditions?.find((each) => each.type === type);

/** Waits until the object passes the check, and gives it. */
function becomes<T>(
  what: string,
  read: () => Promise<T>,
  check: (object: T) => boolean,
  withinMs = 30_000,
) {
  return until(what, withinMs, async () => {
    const object = await read();
    assert.ok(check(object), JSON.stringify((object as { status?: unknown }).status));
    return object;
  });
}

const cloudlet = (name: string) => () => get<Cloudlet>('cloudlet', name);
const web = () => get<AppInst>('appinst', 'web', '-n', 'shop');

/** The value of a counter of the hub, all its series with these labels together. */
async function counted(name: string, labels: string): Promise<number> {
  const lines = (await region.hubs[0]?.metrics())?.split('\n') ?? [];
  return lines
    .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

test('an agent with the join token enrols, connects and shows as Connected', async () => {
  site = await playSite({ region, cloudlet: 'north', member: 'phone-1' });
  await eventually('welcome', () => site.welcomes.length > 0);
  const north = await becomes(
    'Connected',
    cloudlet('north'),
    (object) => conditionOf(object, 'Connected')?.status === 'True',
  );
  assert.equal(north.status?.keys?.length, 1);
  const lease = await get<{ spec: { holderIdentity: string } }>(
    'lease',
    'site-north',
    '-n',
    'cloudlet-system',
  );
  assert.equal(lease.spec.holderIdentity, `hub-1/${site.boot}`);
  const secret = await get<{ data: Record<string, string> }>(
    'secret',
    'join-north',
    '-n',
    'cloudlet-system',
  );
  assert.ok(secret.data['boundKey'], 'the token is bound');
  assert.equal(secret.data['join'], undefined, 'the clear token is gone');
});

test('an AppInst becomes a plan at its site and at no other', async () => {
  other = await playSite({ region, cloudlet: 'south', member: 'phone-9' });
  await eventually('welcome', () => other.welcomes.length > 0);
  const siteStatus = {
    nodes: [],
    architectures: ['linux/amd64'],
    capacity: { cpuMillis: 4000, memoryBytes: 2 ** 32 },
  };
  for (const [member, name] of [
    [site, 'north'],
    [other, 'south'],
  ] as const)
    member.client.reportSite({
      site: {
        uid: (await cloudlet(name)()).metadata.uid,
        boot: member.boot,
        sequence: 1,
        addresses: ['192.0.2.1'],
        ...siteStatus,
      },
      conditions: [
        {
          type: 'PlatformReady',
          status: 'True',
          reason: 'Serving',
          message: '',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    });
  await becomes(
    'Ready',
    cloudlet('north'),
    (object) => conditionOf(object, 'Ready')?.status === 'True',
  );
  await apply(
    'App',
    { name: 'web', namespace: 'shop' },
    {
      version: '1',
      deployment: 'Docker',
      image: 'web:1',
      defaultFlavorRef: { name: 'small' },
      ports: [{ name: 'http', protocol: 'HTTP', port: 80 }],
    },
  );
  await apply(
    'AppInst',
    { name: 'web', namespace: 'shop' },
    { appRef: { name: 'web' }, cloudletRef: { name: 'north' } },
  );
  plan = await eventually('the plan', () => site.plans[0]);
  assert.equal(plan.object.name, 'web');
  assert.deepEqual(plan.workload, { kind: 'Image', image: 'web:1' });
  assert.equal(plan.cloudlet, 'north');
  assert.deepEqual(other.plans, []);
});

test('an honest report makes it Ready', async () => {
  site.client.report(
    site.reportOf(plan, {
      backends: [{ port: 'http', up: 1, total: 1 }],
      instances: [{ name: 'web.1', state: 'running' }],
    }),
  );
  const object = await becomes(
    'Ready',
    web,
    (each) => conditionOf(each, 'Ready')?.status === 'True',
  );
  assert.equal(object.status?.site?.boot, site.boot);
});

test("a site's lies stop at the hub: another's object, another process, the operator's condition", async () => {
  const before = await web();
  const name = 'edge_hub_refused_reports_total';
  other.client.report(other.reportOf(plan));
  await until('refused by the hub', 10_000, async () =>
    assert.equal(await counted(name, 'reason="UnknownInstance"'), 1),
  );
  const honest = site.reportOf(plan);
  const forged = {
    ...honest,
    status: { ...honest.status, site: { ...honest.status.site, boot: 'another' } },
  };
  site.client.report(forged);
  await until('refused by the hub', 10_000, async () =>
    assert.equal(await counted(name, 'reason="OtherBoot"'), 1),
  );
  const ready = {
    type: 'Ready',
    status: 'True' as const,
    reason: 'Ready',
    message: 'forged',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  site.client.report(site.reportOf(plan, { conditions: [ready] }));
  await until('refused by the hub', 10_000, async () =>
    assert.equal(await counted(name, 'reason="NotTheAgents"'), 1),
  );
  assert.deepEqual((await web()).status, before.status);
});

test('a change of the App reaches the site with a higher sequence', async () => {
  await controlPlane.kubectl([
    'patch',
    'app',
    'web',
    '-n',
    'shop',
    '--type=merge',
    '-p',
    '{"spec":{"image":"web:2","version":"2"}}',
  ]);
  const next = await eventually('the second plan', () =>
    site.plans.find(({ app }) => app.version === '2'),
  );
  assert.ok(next.sequence > plan.sequence);
  plan = next;
  site.client.report(site.reportOf(plan));
});

test('a hub that restarts resumes: what the site has is not sent again', async () => {
  const sent = site.plans.length;
  const welcomes = site.welcomes.length;
  await region.hubs[0]?.restart();
  await eventually('welcome', () => site.welcomes.length > welcomes);
  await becomes(
    'Connected',
    cloudlet('north'),
    (object) => conditionOf(object, 'Connected')?.status === 'True',
  );
  assert.equal(site.plans.length, sent);
});

test('a deleted AppInst is removed at the site, and gone when the site has said so', async () => {
  await controlPlane.kubectl(['delete', 'appinst', 'web', '-n', 'shop', '--wait=false']);
  const removal = await eventually('the removal', () => site.removals.at(-1));
  assert.equal(removal.id, plan.id);
  assert.ok((await web()).metadata.deletionTimestamp, 'it waits for its site');
  const gone = site.reportOf({ ...plan, sequence: removal.sequence }, { conditions: [] });
  site.client.report({
    ...gone,
    status: { ...gone.status, site: { ...gone.status.site, removed: true } },
  });
  await eventually('the site may forget', () => site.forgotten.includes(plan.id));
  await until('gone', 30_000, async () =>
    assert.equal(
      await controlPlane.kubectl(['get', 'appinst', 'web', '-n', 'shop', '--ignore-not-found']),
      '',
    ),
  );
});

test('an instance whose AppInst lost its finalizer by hand is found, and goes by what the doctor names', async () => {
  await apply(
    'AppInst',
    { name: 'lost', namespace: 'shop' },
    { appRef: { name: 'web' }, cloudletRef: { name: 'north' } },
  );
  const given = await eventually('its plan', () =>
    site.plans.find(({ object }) => object.name === 'lost'),
  );
  site.client.report(site.reportOf(given));
  // With an operator it would be taken away in order: somebody lost patience while none ran.
  await region.operator.stop();
  await controlPlane.kubectl(['delete', 'appinst', 'lost', '-n', 'shop', '--wait=false']);
  await controlPlane.kubectl([
    ...['patch', 'appinst', 'lost', '-n', 'shop', '--type=merge'],
    ...['-p', '{"metadata":{"finalizers":null}}'],
  ]);
  await region.operator.start();
  const ledger = () => get<CloudletLedger>('cloudletledger', 'north');
  assert.deepEqual(
    (await ledger()).spec.entries?.map(({ id }) => id),
    [given.id],
    'absence deletes nothing',
  );
  const object = await objectOfRemedy(controlPlane.kubeconfig, 'north');
  const removals = site.removals.length;
  await controlPlane.kubectl(['create', '-f', '-'], { input: object });
  const { name, namespace } = (JSON.parse(object) as AppInst).metadata;
  await controlPlane.kubectl(['delete', 'appinst', name, '-n', namespace ?? '', '--wait=false']);
  const removal = await eventually('the removal', () => site.removals[removals]);
  assert.equal(removal.id, given.id);
  const waiting = await get<AppInst>('appinst', name, '-n', namespace ?? '');
  assert.ok(waiting.metadata.deletionTimestamp, 'it waits for the site');
  const gone = site.reportOf({ ...given, sequence: removal.sequence }, { conditions: [] });
  site.client.report({
    ...gone,
    status: { ...gone.status, site: { ...gone.status.site, removed: true } },
  });
  await until('nothing is left', 30_000, async () => {
    const left = ['get', 'appinsts', '--all-namespaces', '--ignore-not-found'];
    assert.equal(await controlPlane.kubectl(left), '');
    const { entries = [], tombstones = [] } = (await ledger()).spec;
    assert.deepEqual([...entries, ...tombstones], []);
  });
});

test('a key without a token waits for a yes, and is let in by it', async () => {
  await using stranger = await playSite({
    region,
    cloudlet: 'north',
    member: 'phone-2',
    caPin: site.caPin,
  });
  const reply = await eventually('a reply', () =>
    stranger.replies.find(({ state }) => state === 'Waiting'),
  );
  assert.equal(reply.state, 'Waiting');
  const north = await becomes(
    'waiting',
    cloudlet('north'),
    (object) => object.status?.waiting?.length === 1,
  );
  const [waiting] = north.status?.waiting ?? [];
  assert.equal(waiting?.fingerprint, reply.fingerprint);
  assert.equal(waiting?.member, 'phone-2');
  const patch = JSON.stringify({ spec: { acceptedKeys: [reply.fingerprint] } });
  await controlPlane.kubectl(['patch', 'cloudlet', 'north', '--type=merge', '-p', patch]);
  await eventually('welcome', () => stranger.welcomes.length > 0);
  await becomes(
    'nobody waits',
    cloudlet('north'),
    (object) => (object.status?.waiting ?? []).length === 0,
  );
});

test('a revoked site is cut off at once', async () => {
  const before = site.disconnects.length;
  await controlPlane.kubectl([
    'patch',
    'cloudlet',
    'north',
    '--type=merge',
    '-p',
    '{"spec":{"revoked":true}}',
  ]);
  await eventually('cut off', () => site.disconnects.length > before);
  await becomes(
    'Connected=False',
    cloudlet('north'),
    (object) => conditionOf(object, 'Connected')?.status === 'False',
  );
  assert.equal(
    other.disconnects.length,
    1,
    'other sites lost their link only when the hub restarted',
  );
});

test('two agents with the same key are found out, and both refused until the key is accepted again', async () => {
  await using clone = await playSite({
    region,
    cloudlet: 'south',
    member: 'phone-clone',
    caPin: other.caPin,
    store: other.store,
  });
  await eventually('welcome', () => clone.welcomes.length > 0);
  const south = await becomes(
    'DuplicateAgent',
    cloudlet('south'),
    (object) => conditionOf(object, 'Connected')?.reason === 'DuplicateAgent',
    150_000,
  );
  assert.equal(conditionOf(south, 'Connected')?.status, 'False');
  await clone[Symbol.asyncDispose]();
  const fingerprint = south.status?.keys?.[0]?.fingerprint;
  const patch = JSON.stringify({ spec: { acceptedKeys: [fingerprint] } });
  await controlPlane.kubectl(['patch', 'cloudlet', 'south', '--type=merge', '-p', patch]);
  await becomes(
    'Connected',
    cloudlet('south'),
    (object) => conditionOf(object, 'Connected')?.status === 'True',
    150_000,
  );
});

test('a hub that no site needs any more ends before its time to drain is over', async () => {
  await site[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  const [hub] = region.hubs;
  hub?.signal('SIGTERM');
  await until('the hub to end', 10_000, () => assert.equal(hub?.running, false));
});
