/**
 * What must hold when things break: a site that is cut off runs on and heals from its own disk, a link that
 * returns touches nothing, and a roll-out completes though every process of the region is killed within it.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import {
  expect,
  phonesUnavailable,
  pushWebImage,
  type PushedImage,
  until,
} from '../testbed/index.ts';
import {
  cloudletName,
  containersOf,
  fetchText,
  hammer,
  instanceOf,
  startWorld,
  urlAt,
  webApp,
  type World,
} from './swarm-world.ts';
import { tellWhenFailed } from './world-told.ts';

const skip = phonesUnavailable() ?? false;
let world: World;
let images: Record<'one' | 'two', PushedImage>;

before(async () => {
  if (skip) return;
  world = await startWorld({ phones: 3, managers: 1 });
  const { registry } = world.phones;
  images = {
    one: await pushWebImage(registry, { version: '1' }),
    two: await pushWebImage(registry, { version: '2' }),
  };
  await world.apply(webApp('web', images.one.reference), instanceOf('web', 'web', { replicas: 2 }));
  await world.waitReady('web', 90);
});

after(async () => world?.[Symbol.asyncDispose]());
afterEach((context) => tellWhenFailed(context, world));

const processes = () => [
  world.region.operator,
  ...world.region.hubs,
  ...(world.region.access ? [world.region.access] : []),
];

const stackOfWeb = async (): Promise<string> =>
  (await world.appInst('web')).status?.site?.name ?? '';

const answersVersion = (url: string, version: string): Promise<void> =>
  until(`version ${version} at ${url}`, 90_000, async () => {
    assert.match(await fetchText(url), new RegExp(`^version ${version} on `));
  });

async function connectedAgain(): Promise<void> {
  await until('the site to be connected again', 90_000, async () => {
    const text = await world.kubectl('get', 'cloudlet', cloudletName, '-o', 'json');
    const { status } = JSON.parse(text) as {
      status: { conditions: { type: string; status: string }[] };
    };
    const connected = status.conditions.find(({ type }) => type === 'Connected');
    expect(connected?.status === 'True', JSON.stringify(status.conditions));
  });
}

test('a link that returns touches no container', { skip }, async () => {
  const stack = await stackOfWeb();
  const before = await containersOf(world.phones.phones, stack);
  assert.equal(before.length, 2);
  const url = urlAt(await world.appInst('web'), world.managers[0]?.ip ?? '');
  const stop = hammer(url, 2);
  for (const hub of world.region.hubs) await hub.kill();
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  for (const hub of world.region.hubs) await hub.start();
  await connectedAgain();
  await world.waitReady('web');
  assert.deepEqual(await containersOf(world.phones.phones, stack), before);
  const { failures } = await stop();
  assert.deepEqual(failures, []);
});

test('cut off and power-cycled, a site runs again from its own disk', { skip }, async () => {
  const stack = await stackOfWeb();
  const url = urlAt(await world.appInst('web'), world.managers[0]?.ip ?? '');
  for (const process of processes()) await process.kill();
  await world.controlPlane.apiserver.kill();
  for (const phone of world.phones.phones) await phone.powerOff();
  await Promise.all(world.phones.phones.map((phone) => phone.boot()));
  const start = Date.now();
  for (const agent of world.site.agents) await agent.start();
  await answersVersion(url, '1');
  assert.ok(Date.now() - start < 90_000, `it took ${Date.now() - start} ms`);

  const manager = world.managers[0];
  const filter = ['--filter', `label=com.docker.stack.namespace=${stack}`];
  const services = async (): Promise<string[]> =>
    ((await manager?.docker(['service', 'ls', '--quiet', ...filter])) ?? '')
      .split('\n')
      .filter(Boolean);
  const [service = ''] = await services();
  const old = new Set(await containersOf(world.phones.phones, stack));
  await manager?.docker(['service', 'rm', service]);
  await until('the service that was removed by hand to return', 60_000, async () => {
    const now = await services();
    expect(now.length === 1 && now[0] !== service, now.join());
    const containers = await containersOf(world.phones.phones, stack);
    const isSettled = containers.length === 2 && containers.every((id) => !old.has(id));
    expect(isSettled, containers.join());
  });
  await answersVersion(url, '1');
});

test('when the region is back it finds the site as it is', { skip }, async () => {
  const stack = await stackOfSite();
  const before = await containersOf(world.phones.phones, stack);
  await world.controlPlane.apiserver.start();
  for (const process of processes()) await process.start();
  await connectedAgain();
  await world.waitReady('web', 90);
  assert.deepEqual(await containersOf(world.phones.phones, stack), before);
});

/** As the site itself knows it, while the region cannot say. */
async function stackOfSite(): Promise<string> {
  const output = await world.managers[0]?.docker([
    ...['service', 'ls', '--format', '{{.Name}}'],
    ...['--filter', 'label=edge.cloudlet.dev/instance-id'],
  ]);
  return (
    (output ?? '')
      .trim()
      .split('\n')[0]
      ?.replace(/_[^_]*$/, '') ?? ''
  );
}

test(
  'a roll-out completes though operator, hub and API server are killed within it',
  { skip },
  async () => {
    const url = urlAt(await world.appInst('web'), world.managers[0]?.ip ?? '');
    await world.apply(webApp('web', images.two.reference, { version: '2' }));
    await world.region.operator.kill();
    for (const hub of world.region.hubs) await hub.kill();
    await world.controlPlane.apiserver.kill();
    await world.controlPlane.apiserver.start();
    await world.region.operator.start();
    for (const hub of world.region.hubs) await hub.start();
    await answersVersion(url, '2');
    await until('the site to have told of the new revision', 60_000, async () => {
      const { status } = await world.waitReady('web');
      expect(status?.rollout?.revision === status?.site?.revision, JSON.stringify(status?.rollout));
      expect(status?.rollout?.failed === undefined, 'the roll-out counts as failed');
    });
  },
);
