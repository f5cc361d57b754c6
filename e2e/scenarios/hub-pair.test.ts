/**
 * Two of everything: hubs, operators and access servers together, each rolled in turn while objects change.
 * What must hold: no site is shown as lost, no task is started twice, no session is cut before the deadline
 * of the process that it goes through, and every change arrives.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';
import { namespaces } from '@cloudlet/crds';
import { type Lease, leaseType } from '@cloudlet/operator';
import { systemClock } from '@cloudlet/runtime/base';
import type { RegionProcess } from '../testbed/index.ts';
import {
  becomes,
  conditionIn,
  drainSeconds,
  isGapless,
  openPairWorld,
  type PairWorld,
} from './hub-pair-world.ts';

const siteNames = ['north', 'south', 'east', 'west'] as const;
let world: PairWorld;
let changes: Changes;

before(async () => {
  world = await openPairWorld(siteNames);
  await world.apply('Flavor', 'small', { vcpus: '10m', memory: '8Mi' });
  const app = { version: '1', deployment: 'Docker', image: 'web:1' };
  await world.apply('App', 'shop/web', { ...app, defaultFlavorRef: { name: 'small' } });
});

after(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Objects that keep coming and growing, so that each roll meets some on their way. */
class Changes {
  readonly wanted = new Map<string, { readonly site: string; readonly replicas: number }>();
  #running = true;
  readonly #ended: Promise<void>;

  constructor() {
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#ended;
  }

  async #run(): Promise<void> {
    for (let turn = 0; this.#running; turn++) {
      const site = siteNames[turn % siteNames.length] ?? 'north';
      await this.put(`web-${turn}`, site, 1);
      const grown = `web-${turn - 6}`;
      if (turn >= 6 && turn % 3 === 0)
        await this.put(grown, this.wanted.get(grown)?.site ?? site, 2);
      await systemClock.sleep(400);
    }
  }

  async put(name: string, site: string, replicas: number): Promise<void> {
    const spec = { appRef: { name: 'web' }, cloudletRef: { name: site }, replicas };
    await world.apply('AppInst', `shop/${name}`, spec);
    this.wanted.set(name, { site, replicas });
  }
}

const isReady = (name: string): void => {
  const object = world.appInsts.cache.get(`shop/${name}`);
  const ready = conditionIn(object, 'Ready');
  assert.equal(ready?.status, 'True', `${name}: ${ready?.reason}: ${ready?.message}`);
  assert.equal(object?.status?.observedGeneration, object?.metadata.generation, name);
};

const allConnected = (): void => {
  for (const name of siteNames)
    assert.equal(conditionIn(world.cloudlets.cache.get(name), 'Connected')?.status, 'True', name);
};

async function leads(operator: RegionProcess): Promise<boolean> {
  return (
    operator.running && /leader_election_master_status\{[^}]*\} 1/.test(await operator.metrics())
  );
}

async function leader(): Promise<RegionProcess> {
  const { operators } = world.region;
  const states = await Promise.all(operators.map(leads));
  assert.equal(states.filter(Boolean).length, 1, 'one operator leads');
  const [found] = operators.filter((_, index) => states[index]);
  assert.ok(found);
  return found;
}

/** A site of each hub, by the Leases. */
async function sitesByHub(): Promise<ReadonlyMap<string, string>> {
  const pairs = await Promise.all(
    siteNames.map(async (site) => [await world.hubOf(site), site] as const),
  );
  return new Map(pairs);
}

const hubNamed = (name: string): RegionProcess => {
  const found = world.region.hubs.find((hub) => hub.name === name);
  assert.ok(found, `there is no ${name}`);
  return found;
};

test('two hubs share the sites, one operator leads, and each site gets its instances', async () => {
  await becomes('every site Connected', allConnected);
  assert.deepEqual([...(await sitesByHub()).keys()].sort(), ['hub-1', 'hub-2']);
  await leader();
  changes = new Changes();
  for (const site of siteNames) await changes.put(`still-${site}`, site, 1);
  for (const site of siteNames)
    await becomes(`still-${site} Ready`, () => isReady(`still-${site}`));
});

test('a session reaches its site through either access server and from the hub that has it not', async () => {
  // At the same time: the API server keeps a connection for one plain request after the other.
  const logs = await Promise.all(siteNames.map((site) => world.follow(`still-${site}`)));
  for (const { lines } of logs)
    await becomes('the log of each site', () => assert.ok(lines.length >= 10));
  const counted = await Promise.all(world.region.accesses.map(logsOpened));
  assert.ok(
    counted.every((count) => count > 0),
    `both access servers opened sessions: ${counted.join(', ')}`,
  );
  for (const log of logs) log.close();
  const sites = await sitesByHub();
  const [site = '', stranger = ''] = [sites.get('hub-1'), await addressOf('hub-2')];
  assert.match(await logThrough(stranger, site), /line 10\n/);
});

async function logsOpened(access: RegionProcess): Promise<number> {
  return Number(/open_seconds_count\{kind="logs"\} (\d+)/.exec(await access.metrics())?.[1] ?? 0);
}

async function addressOf(hub: string): Promise<string> {
  const lease = await world.client.resource<Lease>(leaseType).get(`hub-${hub}`, namespaces.system);
  return lease.metadata.annotations?.['edge.cloudlet.dev/address'] ?? '';
}

/** Asks a hub for a log as the access server does. */
async function logThrough(address: string, site: string): Promise<string> {
  const secret = JSON.parse(
    await world.controlPlane.kubectl([
      ...['get', 'secret', 'cloudlet-access-tls', '-n', namespaces.system, '-o', 'json'],
    ]),
  ) as { data: Record<string, string> };
  const [ca, cert, key] = ['ca.crt', 'tls.crt', 'tls.key'].map((name) =>
    Buffer.from(secret.data[name] ?? '', 'base64'),
  );
  const identity = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  const session = connect(`https://${address}`, {
    ...identity,
    checkServerIdentity: () => undefined,
  });
  const stream = session.request({ ':method': 'POST', ':path': `/v1/sessions/${site}` });
  const instance = world.appInsts.cache.get(`shop/still-${site}`)?.metadata.annotations;
  const id = instance?.['edge.cloudlet.dev/instance-id'];
  stream.write(JSON.stringify({ id: 'x', kind: 'logs', instance: id, user: 'test' }) + '\n');
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.includes('line 10')) break;
  }
  session.destroy();
  assert.equal(headers[':status'], 200, text);
  return text;
}

for (const name of ['hub-1', 'hub-2'])
  test(`${name} is rolled: its sites move, its sessions last to the deadline, others never notice`, async () => {
    const sites = await sitesByHub();
    const [mine, others] = [sites.get(name), [...sites].find(([hub]) => hub !== name)?.[1]];
    const followed = async (site: string | undefined) => site && world.follow(`still-${site}`);
    const logs = [await followed(mine), await followed(others)];
    const [through, beside] = logs;
    await becomes('the logs flow', () => {
      for (const log of logs) assert.ok(!log || log.lines.length >= 10);
    });
    const begunMs = performance.now();
    await hubNamed(name).stop();
    await becomes('all sites at the other hub', async () => {
      for (const site of siteNames) assert.notEqual(await world.hubOf(site), name);
      allConnected();
    });
    if (through) {
      await becomes('the drained session ended', () => assert.ok(through.endedMs));
      const lastedMs = (through.endedMs ?? 0) - begunMs;
      assert.ok(lastedMs >= drainSeconds.hub * 1000 - 100, `it lasted ${lastedMs} ms`);
      assert.ok(isGapless(through.lines), through.lines.join(' '));
    }
    if (beside) {
      assert.equal(beside.endedMs, undefined, 'a session through the other hub goes on');
      assert.ok(isGapless(beside.lines), beside.lines.join(' '));
      beside.close();
    }
    await hubNamed(name).start();
    assert.deepEqual(world.lapses, []);
  });

test('each access server is rolled: callers come to the other, sessions last to the deadline', async () => {
  let throughAny = 0;
  for (const access of world.region.accesses) {
    const before = await logsOpened(access);
    const logs = await Promise.all(siteNames.map((site) => world.follow(`still-${site}`)));
    for (const { lines } of logs)
      await becomes('the log of each site', () => assert.ok(lines.length >= 10));
    // Which server carries a session is the API server's choice, by the connections it has left.
    const through = (await logsOpened(access)) - before;
    throughAny += through;
    const begunMs = performance.now();
    const rolled = access.restart();
    await becomes('a new session while it drains', async () =>
      (await world.follow('still-north')).close(),
    );
    await rolled;
    for (const log of logs) {
      if (log.endedMs !== undefined)
        assert.ok(log.endedMs - begunMs >= drainSeconds.access * 1000 - 100);
      assert.ok(isGapless(log.lines), log.lines.join(' '));
      log.close();
    }
    const cut = logs.filter((log) => log.endedMs !== undefined);
    assert.equal(cut.length, through, `only what went through ${access.name} ended`);
  }
  assert.ok(throughAny > 0, 'a roll met sessions on their way');
});

test('the standby operator takes over and goes on where the leader was', async () => {
  for (const _ of world.region.operators) {
    const old = await leader();
    const number = changes.wanted.size;
    await old.stop();
    await becomes(
      'the standby leads',
      async () => assert.notEqual((await leader()).name, old.name),
      8_000,
    );
    await becomes('changes go on', () => assert.ok(changes.wanted.size > number + 3));
    await becomes('a change of after is Ready', () =>
      isReady([...changes.wanted.keys()][number] ?? ''),
    );
    await old.start();
  }
});

test('nothing was lost, nothing restarted, and no site was ever shown as lost', async () => {
  await changes.stop();
  for (const [name, { replicas }] of changes.wanted)
    await becomes(`${name} runs ${replicas} tasks`, () => {
      isReady(name);
      // Ready stays True while it grows.
      assert.equal(world.appInsts.cache.get(`shop/${name}`)?.status?.replicas, replicas);
    });
  for (const site of siteNames) {
    const platform = world.sites.get(site);
    const wanted = [...changes.wanted.values()].filter((each) => each.site === site);
    const replicas = wanted.reduce((sum, each) => sum + each.replicas, 0);
    assert.equal(platform?.instances.size, wanted.length, `instances at ${site}`);
    assert.equal(platform?.started, replicas, `tasks started at ${site}`);
  }
  assert.deepEqual(world.lapses, []);
  assert.ok(changes.wanted.size > 40, 'there were changes all along');
});
