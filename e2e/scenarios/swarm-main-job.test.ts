/**
 * The main job, told as a user sees it: an App goes from `kubectl apply` through the operator, down the tunnel,
 * onto a swarm of phones, and back as status with a URL that answers.
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
let images: Record<'one' | 'two' | 'arm', PushedImage>;

before(async () => {
  if (skip) return;
  world = await startWorld({ phones: 3, managers: 1, helpers: true });
  const { registry } = world.phones;
  images = {
    one: await pushWebImage(registry, { version: '1' }),
    two: await pushWebImage(registry, { version: '2' }),
    arm: await pushWebImage(registry, { version: '1', name: 'web-arm', architectures: ['arm/v7'] }),
  };
});

after(async () => world?.[Symbol.asyncDispose]());
afterEach((context) => tellWhenFailed(context, world));

test('an applied App answers on the site and says so in its status', { skip }, async () => {
  await world.apply(webApp('web', images.one.reference), instanceOf('web', 'web', { replicas: 2 }));
  await world.kubectl('wait', 'appinst/web', '--for=condition=Ready', '--timeout=60s');
  const appInst = await world.appInst('web');
  assert.match(await fetchText(appInst.status?.uri ?? ''), /^version 1 on /);
  assert.equal(appInst.status?.placement?.cloudlet, cloudletName);
  assert.equal(appInst.status?.replicas, 2);
  assert.equal(appInst.status?.observedGeneration, appInst.metadata.generation);
  for (const phone of world.managers)
    assert.match(await fetchText(urlAt(appInst, phone.ip)), /^version 1 on /);
});

test('the site is one swarm of distinct engines', { skip }, async () => {
  const infos = await Promise.all(
    world.phones.phones.map(
      async (phone) =>
        JSON.parse(await phone.docker(['info', '--format', '{{json .}}'])) as {
          ID: string;
          Swarm: { NodeID: string; LocalNodeState: string };
        },
    ),
  );
  assert.equal(new Set(infos.map(({ ID }) => ID)).size, infos.length);
  assert.equal(new Set(infos.map(({ Swarm }) => Swarm.NodeID)).size, infos.length);
  assert.deepEqual([...new Set(infos.map(({ Swarm }) => Swarm.LocalNodeState))], ['active']);
  const { status } = JSON.parse(
    await world.kubectl('get', 'cloudlet', cloudletName, '-o', 'json'),
  ) as { status: { site: { nodes: { name: string; nodeId: string }[] } } };
  assert.deepEqual(
    status.site.nodes.map(({ nodeId }) => nodeId).sort(),
    infos.map(({ Swarm }) => Swarm.NodeID).sort(),
  );
});

test('an image of 32-bit ARM runs, and the status names its architecture', { skip }, async () => {
  await world.apply(webApp('arm', images.arm.reference), instanceOf('arm', 'arm'));
  const appInst = await world.waitReady('arm', 90);
  assert.match(await fetchText(appInst.status?.uri ?? ''), /^version 1 on /);
  assert.deepEqual(
    appInst.status?.instances?.map(({ architecture }) => architecture),
    ['linux/arm/v7'],
  );
});

test('a new image rolls out without one failed request', { skip }, async () => {
  const url = urlAt(await world.appInst('web'), world.managers[0]?.ip ?? '');
  const stop = hammer(url);
  await world.apply(webApp('web', images.two.reference, { version: '2' }));
  await until('the page to answer with version 2 only', 90_000, async () => {
    const appInst = await world.appInst('web');
    const running = appInst.status?.instances?.filter(({ state }) => state === 'running') ?? [];
    expect(
      running.length === 2 && running.every(({ image }) => image?.includes('web:2')),
      JSON.stringify(running),
    );
    for (let tries = 0; tries < 4; tries++) assert.match(await fetchText(url), /^version 2 on /);
  });
  const { requests, failures, answers } = await stop();
  assert.ok(requests > 50, `only ${requests} requests were sent`);
  assert.deepEqual(failures, []);
  assert.deepEqual([...answers].sort(), ['version 1', 'version 2']);
  await world.waitReady('web');
});

test('kubectl scale changes what runs', { skip }, async () => {
  await world.kubectl('scale', 'appinst/web', '--replicas=3');
  await until('three replicas', 60_000, async () => {
    const { status } = await world.appInst('web');
    expect(status?.replicas === 3, `status.replicas is ${status?.replicas}`);
  });
  await world.kubectl('scale', 'appinst/web', '--replicas=1');
  await until('one replica', 60_000, async () => {
    const { status } = await world.appInst('web');
    expect(status?.replicas === 1, `status.replicas is ${status?.replicas}`);
  });
});

test('a service that was removed by hand returns', { skip }, async () => {
  const stack = (await world.appInst('web')).status?.site?.name ?? '';
  const manager = world.managers[0];
  const filter = ['--filter', `label=com.docker.stack.namespace=${stack}`];
  const services = async (): Promise<string[]> =>
    ((await manager?.docker(['service', 'ls', '--quiet', ...filter])) ?? '')
      .split('\n')
      .filter(Boolean);
  const [service] = await services();
  assert.ok(service);
  await manager?.docker(['service', 'rm', service]);
  await until('another service', 60_000, async () => {
    const now = await services();
    expect(now.length === 1 && now[0] !== service, now.join());
  });
  // The status learns of it a moment after the swarm does: Ready may still be of before.
  const { ip = '' } = manager ?? {};
  const url = urlAt(await world.appInst('web'), ip);
  await until('the page to answer again', 60_000, async () => {
    assert.match(await fetchText(url), /^version 2 on /);
  });
  await world.waitReady('web');
});

test(
  'an image that does not exist is told in the condition, and what ran goes on',
  { skip },
  async () => {
    await world.apply(webApp('web', `${world.phones.registry}/web:none`, { version: '3' }));
    await until('the failed roll-out to be told', 60_000, async () => {
      const { status } = await world.appInst('web');
      const told = status?.conditions?.some(({ message }) => /web:none/.test(message));
      expect(told, JSON.stringify(status?.conditions));
    });
    const url = urlAt(await world.appInst('web'), world.managers[0]?.ip ?? '');
    assert.match(await fetchText(url), /^version 2 on /);
    await world.apply(webApp('web', images.two.reference, { version: '2' }));
    await world.waitReady('web');
  },
);

test('powerState Off stops it and On starts it on the same port', { skip }, async () => {
  const port = (await world.appInst('web')).status?.ports?.[0]?.publicPort;
  await world.apply(instanceOf('web', 'web', { powerState: 'Off' }));
  const stack = (await world.appInst('web')).status?.site?.name ?? '';
  await until('no container', 60_000, async () => {
    const containers = await containersOf(world.phones.phones, stack);
    expect(containers.length === 0, containers.join());
  });
  await world.apply(instanceOf('web', 'web', { powerState: 'On' }));
  const appInst = await world.waitReady('web');
  assert.equal(appInst.status?.ports?.[0]?.publicPort, port);
  assert.match(await fetchText(appInst.status?.uri ?? ''), /^version 2 on /);
});

test('exec reaches a task on every phone, and each says what it is', { skip }, async () => {
  const compose = [
    'services:',
    '  web:',
    `    image: ${images.one.reference}`,
    '    volumes: [data:/data]',
    '    deploy: {mode: global}',
    'volumes: {data: {}}',
  ].join('\n');
  const app = {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'App',
    metadata: { name: 'everywhere', namespace: 'default' },
    spec: { version: '1', deployment: 'Docker', compose, volumes: { onDelete: 'Delete' } },
  };
  await world.apply(app, instanceOf('everywhere', 'everywhere'));
  const appInst = await world.waitReady('everywhere', 90);
  const tasks = appInst.status?.instances ?? [];
  assert.deepEqual(
    tasks.map(({ node }) => node).sort(),
    world.phones.phones.map(({ name }) => name).sort(),
  );
  const stack = appInst.status?.site?.name ?? '';
  for (const phone of world.phones.phones) {
    const target = `${stack}_web.${phone.name}`;
    const said = await world.cloudlet(
      'exec',
      'everywhere',
      '--target',
      target,
      '--',
      '/web',
      '-version',
    );
    const [container = ''] = await containersOf([phone], stack);
    assert.equal(said, `version 1 on ${container.slice(0, 12)}\n`);
  }
});

test(
  'a removal takes the named volumes of every phone, and the helpers stay',
  { skip },
  async () => {
    const stack = (await world.appInst('everywhere')).status?.site?.name ?? '';
    const volumes = (): Promise<string[]> =>
      Promise.all(
        world.phones.phones.map(async (phone) => {
          const filter = ['--filter', `label=com.docker.stack.namespace=${stack}`];
          return (await phone.docker(['volume', 'ls', '--quiet', ...filter])).trim();
        }),
      );
    assert.deepEqual(await volumes(), Array(3).fill(`${stack}_data`));
    await world.kubectl('delete', 'appinst', 'everywhere', '--timeout=90s');
    assert.deepEqual(await volumes(), ['', '', '']);
    const { status } = JSON.parse(
      await world.kubectl('get', 'cloudlet', cloudletName, '-o', 'json'),
    ) as { status: { site?: { orphans?: unknown[] } } };
    assert.deepEqual(status.site?.orphans ?? [], []);
    const format = ['--filter', 'name=cloudlet-helper', '--format', '{{.Replicas}}'];
    assert.equal((await world.managers[0]?.docker(['service', 'ls', ...format]))?.trim(), '3/3');
  },
);

test('a deleted instance leaves nothing at the site', { skip }, async () => {
  const stacks = ['web', 'arm'].map(async (name) => (await world.appInst(name)).status?.site?.name);
  const names = (await Promise.all(stacks)).map((name) => name ?? '');
  await world.kubectl('delete', 'appinst', 'web', 'arm', '--timeout=90s');
  for (const name of names) {
    assert.deepEqual(await containersOf(world.phones.phones, name), []);
    for (const kind of ['service', 'network', 'secret', 'config']) {
      const filter = ['--filter', `label=com.docker.stack.namespace=${name}`];
      assert.equal(await world.managers[0]?.docker([kind, 'ls', '--quiet', ...filter]), '');
    }
  }
});
