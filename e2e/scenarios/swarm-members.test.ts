/**
 * A site with several managers, an agent on each: whichever is lost, the others carry on. Losses are looked at
 * past the agents, on the engines themselves: ids of containers and versions of services tell what was done.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import type { AppInst, Condition } from '@cloudlet/crds';
import { systemClock } from '@cloudlet/runtime/base';
import {
  type Component,
  expect,
  getCloudlet,
  type Phone,
  phonesUnavailable,
  pushWebImage,
  type PushedImage,
  swarmNodes,
  until,
} from '../testbed/index.ts';
import {
  cloudletName,
  containersOf,
  fetchText,
  instanceOf,
  startWorld,
  urlAt,
  webApp,
  type World,
} from './swarm-world.ts';
import { tellWhenFailed } from './world-told.ts';

const skip = phonesUnavailable() ?? false;
let world: World;
let stackName: string;
let images: Record<'one' | 'two', PushedImage>;

before(async () => {
  if (skip) return;
  world = await startWorld({ phones: 3, managers: 3, prefix: 'mphone', net: '10.79.5' });
  const { registry } = world.phones;
  const native = { architectures: ['amd64'] } as const;
  images = {
    one: await pushWebImage(registry, { version: '1', ...native }),
    two: await pushWebImage(registry, { version: '2', ...native }),
  };
  await world.apply(webApp('web', images.one.reference), instanceOf('web', 'web', { replicas: 3 }));
  const { status } = await world.waitReady('web', 90);
  stackName = status?.site?.name ?? '';
});

after(async () => world?.[Symbol.asyncDispose]());

// One story's failure is not the next one's.
afterEach(async (context) => {
  if (!(await tellWhenFailed(context, world))) return;
  for (const phone of phones()) if (!phone.running) await phone.boot();
  for (const agent of world.site.agents) await agent.start();
});

const phones = (): readonly Phone[] => world.phones.phones;
const others = (phone: Phone): Phone[] => phones().filter((one) => one !== phone);

/** The member that acts, as the region sees it: the holder of the site's Lease is its boot. */
async function actingBoot(): Promise<string> {
  const lease = ['get', 'lease', `site-${cloudletName}`, '--namespace', 'cloudlet-system'];
  const holder = await world.kubectl(...lease, '-o', 'jsonpath={.spec.holderIdentity}');
  return holder.split('/').at(-1) ?? '';
}

async function leader(among: readonly Phone[] = phones()): Promise<Phone> {
  const [asked] = among;
  if (!asked) throw new Error('no phone to ask');
  const name = (await swarmNodes(asked)).find(({ manager }) => manager === 'Leader')?.name;
  const found = among.find((phone) => phone.name === name);
  if (!found) throw new Error(`the leader is ${name ?? 'nobody'}`);
  return found;
}

/**
 * The leader and the boot that acts, once both stay: after a phone's return the swarm may elect again, and a
 * deputy acts until the leader's own agent does.
 */
async function settled(): Promise<{ readonly acting: Phone; readonly boot: string }> {
  return until('leader and acting member to stay', 90_000, async () => {
    const [acting, boot] = [await leader(), await actingBoot()];
    for (let look = 0; look < 4; look++) {
      await systemClock.sleep(2_000);
      expect((await leader()) === acting && (await actingBoot()) === boot, 'they change');
    }
    return { acting, boot };
  });
}

function agentOn(phone: Phone): Component {
  const found = world.site.agents[phones().indexOf(phone)];
  if (!found) throw new Error(`no agent on ${phone.name}`);
  return found;
}

async function condition(type: string): Promise<Condition | undefined> {
  const { status } = await getCloudlet(world.controlPlane, cloudletName);
  return status?.conditions?.find((one) => one.type === type);
}

async function conditionIs(type: string, wanted: string, seconds: number): Promise<void> {
  await until(`${type} to be ${wanted}`, seconds * 1000, async () => {
    const found = await condition(type);
    expect(`${found?.status} ${found?.reason}` === wanted, JSON.stringify(found));
  });
}

/** Versions of the stack's services: one that somebody touched has another. */
const serviceVersions = async (phone: Phone): Promise<string> =>
  phone.docker([
    ...['service', 'inspect', `${stackName}_web`],
    ...['--format', '{{.ID}} {{.Version.Index}}'],
  ]);

async function answersAt(some: readonly Phone[]): Promise<void> {
  const appInst = await world.appInst('web');
  for (const phone of some)
    await until(`the public port of ${phone.name}`, 20_000, async () => {
      assert.match(await fetchText(urlAt(appInst, phone.ip)), /^version 1 on /);
    });
}

/** Sends a datagram to a phone's public port from a socket of its own; what comes back. */
async function askUdp(host: string, port: number): Promise<string> {
  const socket = createSocket('udp4');
  try {
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(2_000) });
    socket.send('hello', port, host);
    const [message] = (await answer) as [Buffer];
    return message.toString();
  } finally {
    socket.close();
  }
}

const publicPort = (appInst: AppInst, name: string): number =>
  appInst.status?.ports?.find((port) => port.name === name)?.publicPort ?? 0;

/** Until another boot holds the Lease and has reported: in milliseconds from now. */
async function takenOverFrom(boot: string): Promise<number> {
  const start = performance.now();
  await until('another member to act and report', 45_000, async () => {
    const now = await actingBoot();
    const { status } = await getCloudlet(world.controlPlane, cloudletName);
    const isNew = now !== '' && now !== boot && status?.site?.boot === now;
    expect(isNew, `the Lease is ${now}'s, the last report of ${status?.site?.boot}`);
  });
  return performance.now() - start;
}

/** The region's word still comes to the swarm: a change of the plan is carried out. */
async function scaledTo(replicas: number, some: readonly Phone[]): Promise<void> {
  await world.kubectl('scale', 'appinst/web', `--replicas=${replicas}`);
  await until(`${replicas} containers`, 45_000, async () => {
    const found = await containersOf(some, stackName);
    expect(found.length === replicas, found.join());
  });
}

test('three members belong to the site, one acts, each balances', { skip }, async () => {
  const { status } = await getCloudlet(world.controlPlane, cloudletName);
  assert.equal(status?.keys?.length, 3);
  assert.equal(status.site?.boot, await actingBoot());
  await conditionIs('Quorum', 'True QuorumHeld', 10);
  await answersAt(phones());
});

test(
  'a UDP port answers on every manager, and goes on while its App rolls out',
  { skip },
  async () => {
    const ports = [{ name: 'echo', protocol: 'UDP' as const, port: 9000 }];
    const echo = { ports, env: [{ name: 'UDP_PORT', value: '9000' }] };
    await world.apply(webApp('echo', images.one.reference, echo), instanceOf('echo', 'echo'));
    const appInst = await world.waitReady('echo', 90);
    const port = publicPort(appInst, 'echo');
    for (const phone of phones())
      await until(`UDP port ${port} of ${phone.name}`, 20_000, async () => {
        assert.match(await askUdp(phone.ip, port), /^version 1 on .*: hello$/);
      });
    await world.apply(webApp('echo', images.two.reference, { version: '2', ...echo }));
    let [asked, lost] = [0, 0];
    await until('version 2 on every manager', 90_000, async () => {
      const answers = await Promise.all(
        phones().map(({ ip }) => askUdp(ip, port).catch(() => undefined)),
      );
      asked += answers.length;
      lost += answers.filter((answer) => answer === undefined).length;
      expect(
        answers.every((answer) => answer?.startsWith('version 2')),
        answers.join(),
      );
    });
    assert.ok(lost * 10 <= asked, `${lost} of ${asked} datagrams had no answer`);
    await world.waitReady('echo');
    await world.kubectl('delete', 'appinst', 'echo', '--timeout=60s');
  },
);

test(
  'the acting agent is killed: another one takes over, nothing is restarted',
  { skip },
  async () => {
    const lead = await leader();
    const boot = await actingBoot();
    const before = await containersOf(phones(), stackName);
    const versions = await serviceVersions(lead);
    await agentOn(lead).kill();
    const ms = await takenOverFrom(boot);
    assert.ok(ms < 20_000, `it took ${ms} ms`);
    assert.equal(await serviceVersions(lead), versions);
    assert.deepEqual(await containersOf(phones(), stackName), before);
    await answersAt(phones());
    await scaledTo(4, phones());
    await scaledTo(3, phones());

    const deputy = await actingBoot();
    await agentOn(lead).start();
    await takenOverFrom(deputy);
    await world.waitReady('web');
  },
);

test(
  'the leading phone goes off: the next leader takes over, survivors are left alone',
  { skip },
  async () => {
    const lead = await leader();
    const rest = others(lead);
    const boot = await actingBoot();
    const before = await containersOf(rest, stackName);
    await lead.powerOff();
    const start = performance.now();
    const elected = until('the swarm to elect a leader', 45_000, async () => {
      await leader(rest);
      return performance.now() - start;
    });
    const took = await takenOverFrom(boot);
    const own = took - (await elected);
    assert.ok(own < 10_000, `elected after ${await elected} ms, taken over after ${took} ms`);
    await answersAt(rest);
    const after = await containersOf(rest, stackName);
    for (const id of before) assert.ok(after.includes(id), `container ${id} is gone`);
    await until('the third replica on a surviving phone', 60_000, async () => {
      const found = await containersOf(rest, stackName);
      expect(found.length === 3, found.join());
    });
    for (const id of before)
      assert.ok((await containersOf(rest, stackName)).includes(id), `container ${id} is gone`);
    await world.waitReady('web');
    await lead.boot();
    await agentOn(lead).start();
    await conditionIs('Quorum', 'True QuorumHeld', 60);
  },
);

test(
  'without a leader the last active member says QuorumLost, and it heals',
  { skip },
  async () => {
    const { acting, boot } = await settled();
    const before = await containersOf([acting], stackName);
    for (const phone of others(acting)) await phone.powerOff();
    await conditionIs('Quorum', 'False QuorumLost', 60);
    assert.equal(await actingBoot(), boot);
    assert.equal((await condition('Ready'))?.status, 'False');
    await answersAt([acting]);
    assert.deepEqual(await containersOf([acting], stackName), before);
    for (const phone of others(acting)) {
      await phone.boot();
      await agentOn(phone).start();
    }
    await conditionIs('Quorum', 'True QuorumHeld', 60);
    await world.waitReady('web', 90);
  },
);

test('an even number of managers is told', { skip }, async () => {
  const lead = await leader();
  const [demoted] = others(lead);
  await until('the managers to let one of them go', 60_000, async () => {
    await lead.docker(['node', 'demote', demoted?.name ?? '']);
  });
  await conditionIs('Quorum', 'True EvenManagers', 30);
  await world.waitReady('web');
});

test('a site that is deleted keeps no load balancer', { skip }, async () => {
  const balancers = async (): Promise<string[]> => {
    const filter = ['--filter', 'name=cloudlet-load-balancer', '--format', '{{.Names}}'];
    const lists = await Promise.all(
      phones().map((phone) => phone.docker(['ps', '--all', ...filter])),
    );
    return lists.flatMap((list) => list.split('\n').filter(Boolean)).sort();
  };
  const name = 'cloudlet-load-balancer';
  assert.deepEqual(
    await balancers(),
    phones()
      .flatMap(() => [name, `${name}-udp`])
      .sort(),
  );
  await world.kubectl('delete', 'appinst', 'web', '--timeout=90s');
  await world.kubectl('delete', 'cloudlet', cloudletName, '--timeout=60s');
  assert.deepEqual(await balancers(), []);
});
