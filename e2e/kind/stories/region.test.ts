/**
 * A region as people install it: the chart on a cluster with nodes, sites that join from outside of it and
 * within, an upgrade that nobody notices, an uninstall that loses nothing. Each story goes on where the one
 * before ended.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AppInst } from '@cloudlet/crds';
import { type Component, expect, type ManagedProcess, until } from '../../testbed/index.ts';
import { containersOf, fetchText, hammer } from '../../scenarios/swarm-world.ts';
import {
  chart,
  chartArguments,
  deployments,
  installToReady,
  regionReady,
  release,
} from '../install.ts';
import { startAgentContainer } from './agent-container.ts';
import {
  instanceAt,
  type KindWorld,
  openKindWorld,
  site,
  system,
  watchSites,
  writeJoin,
} from './world.ts';

let world: KindWorld;
before(async () => {
  world = await openKindWorld();
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** The story that failed and on which all that come later go on. */
let failed: string | undefined;

interface Story {
  /** Nothing goes on from it. */
  readonly isAside?: boolean;
}

const story = (
  title: string,
  body: () => Promise<unknown>,
  { isAside = false }: Story = {},
): void =>
  void test(title, { timeout: 420_000 }, async () => {
    if (failed !== undefined) assert.fail(`not tried: it goes on from '${failed}', which failed`);
    try {
      await body();
    } catch (error) {
      if (!isAside) failed = title;
      console.log(`${title}:\n${await world.diagnosis()}`);
      throw error;
    }
  });

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: {
    readonly containers: readonly {
      readonly name: string;
      readonly securityContext: Readonly<Record<string, unknown>>;
    }[];
  };
  readonly status: {
    readonly phase: string;
    readonly containerStatuses: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
    }[];
  };
}

async function pods(): Promise<readonly Pod[]> {
  const selector = ['-l', 'app.kubernetes.io/part-of=cloudlet-operator'];
  return (await world.get<{ items: Pod[] }>('pods', '-n', system, ...selector)).items;
}

story(
  'helm install on a cluster whose pods must be restricted ends with all of them Ready',
  async () => {
    await world.kubectl('create', 'namespace', system);
    const label = 'pod-security.kubernetes.io/enforce=restricted';
    await world.kubectl('label', 'namespace', system, label);
    const seconds = await installToReady(world.bed);
    console.log(`helm.installToReady.seconds ${seconds.toFixed(1)}`);
    const running = await pods();
    assert.equal(running.length, 6);
    for (const { metadata, status } of running)
      for (const { ready, restartCount } of status.containerStatuses)
        assert.deepEqual({ ready, restartCount }, { ready: true, restartCount: 0 }, metadata.name);
  },
);

story('its pods cannot write their root, and are not root', async () => {
  const script = [
    "try { fs.writeFileSync('/app/new', ''); process.exit(1); }",
    'catch (error) { console.log(process.getuid(), error.code); }',
  ].join(' ');
  for (const deployment of deployments)
    assert.equal(
      (await world.kubectl('exec', deployment, '-n', system, '--', 'node', '-e', script)).trim(),
      '65532 EROFS',
      deployment,
    );
});

story('helm test passes, and what guards the pods is there', async () => {
  const out = await world.bed.helm(['test', release, '--namespace', system]);
  assert.match(out, /Phase:\s+Succeeded/);
  for (const kind of ['networkpolicies', 'poddisruptionbudgets']) {
    const { items } = await world.get<{ items: { metadata: { name: string } }[] }>(
      kind,
      '-n',
      system,
    );
    const names = items.map(({ metadata }) => metadata.name).sort();
    assert.deepEqual(names, ['cloudlet-access', 'cloudlet-hub', 'cloudlet-operator'], kind);
  }
});

let agent: Component;
story('a site outside the cluster joins with what kubectl cloudlet join prints', async () => {
  await world.applyCloudlet(site, 'DockerSwarm');
  agent = await world.joinPhones();
  await agent.start();
  await world.cloudletReady(site);
  const phase = "jsonpath={.status.conditions[?(@.type=='Connected')].status}";
  assert.equal(await world.kubectl('get', 'cloudlet', site, '-o', phase), 'True');
  assert.match(await world.cloudlet('get'), new RegExp(`^${site} +DockerSwarm .*Ready`, 'm'));
});

const web = (image: string): object => ({
  image,
  ports: [
    { name: 'http', protocol: 'HTTP', port: 8080, healthCheck: { type: 'HTTP', path: '/healthz' } },
  ],
});
let url: string;

story('an App that is applied answers at its URL', async () => {
  await world.apply(...instanceAt(site, 'web', web(world.images.web1)));
  const { status } = await world.appInstReady('web');
  url = status?.uri ?? '';
  await until(`${url} to answer`, 30_000, async () =>
    assert.match(await fetchText(url), /^version 1 on /),
  );
});

story('its new image is rolled out without a failed request', async () => {
  const stop = hammer(url);
  await world.apply(...instanceAt(site, 'web', web(world.images.web2)));
  await until('version 2 alone to answer', 120_000, async () => {
    await world.appInstReady('web');
    for (let tries = 0; tries < 4; tries++) assert.match(await fetchText(url), /^version 2 on /);
  });
  const { requests, failures, answers } = await stop();
  assert.ok(requests > 50, `only ${requests} requests were sent`);
  assert.deepEqual(failures, []);
  assert.deepEqual([...answers].sort(), ['version 1', 'version 2']);
});

/** Containers of an instance, on all phones. */
async function containersOfInstance(name: string): Promise<readonly string[]> {
  const { status } = await world.get<AppInst>('appinst', name);
  expect(status?.site?.name, `${name} is at no site`);
  return containersOf(world.bed.phones.phones, status.site.name);
}

/** Numbers of the lines that a followed log told so far. */
const ticksOf = (log: ManagedProcess): readonly number[] =>
  log
    .tail(10_000)
    .split('\n')
    .filter((line) => line.startsWith('tick '))
    .map((line) => Number(line.slice('tick '.length)));

story('exec and logs -f go through the API server to the site', async () => {
  await until('the helper of its phone', 60_000, async () =>
    assert.match(await world.cloudlet('exec', 'web', '--', '/web', '-version'), /^version 2 on /),
  );
  const program = 'n=0; while true; do n=$((n+1)); echo tick $n; sleep 1; done';
  const ticker = { image: world.images.busybox, command: ['sh', '-c', program] };
  await world.apply(...instanceAt(site, 'ticker', ticker));
  await world.appInstReady('ticker');
  const log = await world.startCloudlet('ticker', 'logs', 'ticker', '-f');
  const first = await until('the first line', 30_000, () => {
    const ticks = ticksOf(log);
    expect(ticks.length > 0, log.tail());
    return ticks.length;
  });
  await until('lines that come later', 30_000, () =>
    expect(ticksOf(log).length >= first + 3, log.tail()),
  );
  const ticks = ticksOf(log);
  assert.deepEqual(
    ticks,
    ticks.map((_, index) => (ticks[0] ?? 0) + index),
    'each line once, in order',
  );
  await log.stop();
});

story("a site of the agent's chart runs in the cluster, restricted as well", async () => {
  const namespace = ['--namespace', 'inner'];
  await world.applyCloudlet('inner', 'Fake');
  await world.kubectl('create', 'namespace', 'inner');
  const label = 'pod-security.kubernetes.io/enforce=restricted';
  await world.kubectl('label', 'namespace', 'inner', label);
  const join = writeJoin(world, 'inner', await world.cloudlet('join', 'inner'));
  const secret = ['create', 'secret', 'generic', 'cloudlet-join', `--from-file=join=${join}`];
  await world.kubectl(...secret, ...namespace);
  const values = ['--set', 'driver=fake,join.secretName=cloudlet-join'];
  const install = ['install', 'inner', chart('cloudlet-agent'), ...namespace, ...values];
  await world.bed.helm([...install, '--wait', '--timeout', '120s'], { timeoutMs: 130_000 });
  await world.cloudletReady('inner');
  await world.bed.helm(['test', 'inner', ...namespace]);
  await world.apply(...instanceAt('inner', 'pretended', { image: 'shop:1' }));
  await world.appInstReady('pretended');
});

story('a pod of that site takes up its work where the one before left it', async () => {
  const pod = 'inner-cloudlet-agent-0';
  const uidOf = async () => (await world.get<Pod>('pod', pod, '-n', 'inner')).metadata.uid;
  // Only the first needs the join: the volume has key and certificate.
  await world.kubectl('delete', 'secret', 'cloudlet-join', '-n', 'inner');
  const update = ['upgrade', 'inner', chart('cloudlet-agent'), '--namespace', 'inner'];
  const before = await uidOf();
  await world.bed.helm([...update, '--set', 'driver=fake', '--wait', '--timeout', '120s'], {
    timeoutMs: 130_000,
  });
  await until('another pod', 60_000, async () => expect((await uidOf()) !== before, 'the same'));
  await world.kubectl(
    'wait',
    '--for=condition=Ready',
    `pod/${pod}`,
    '-n',
    'inner',
    '--timeout=60s',
  );
  await world.cloudletReady('inner');
});

story(
  'a container beside the cluster is a site, with no more than its join',
  async () => {
    await world.applyCloudlet('container', 'Fake');
    const join = await world.cloudlet('join', 'container');
    await using container = await startAgentContainer(world.bed, join);
    await world.cloudletReady('container');
    assert.doesNotMatch(container.log(), /"level":"(warn|error)"/);
    await world.kubectl('delete', 'cloudlet', 'container', '--timeout=60s');
  },
  { isAside: true },
);

story('an upgrade replaces every pod; no site lapses, no request and no line is lost', async () => {
  const before = new Set((await pods()).map(({ metadata }) => metadata.uid));
  const containers = await containersOfInstance('web');
  const lapsesOf = await watchSites(world);
  const requests = hammer(url, 2);
  const serving = askAgain(() => world.kubectl('get', '--raw', '/apis/access.edge.cloudlet.dev'));
  await world.bed.helm(['upgrade', ...chartArguments(world.bed), '--set', 'logLevel=debug']);
  await regionReady(world.bed);
  await until('the pods of before to be gone', 120_000, async () => {
    const left = (await pods()).filter(({ metadata }) => before.has(metadata.uid));
    expect(left.length === 0, left.map(({ metadata }) => metadata.name).join(', '));
  });
  assert.match(await world.cloudlet('exec', 'web', '--', '/web', '-version'), /^version 2 on /);
  assert.deepEqual(await serving(), []);
  assert.deepEqual((await requests()).failures, []);
  assert.deepEqual(await lapsesOf(), []);
  assert.deepEqual(await containersOfInstance('web'), containers);
  assert.ok(agent.running);
});

/** Asks again and again until the returned function is called, which gives what went wrong. */
function askAgain(ask: () => Promise<unknown>): () => Promise<readonly string[]> {
  const wrong: string[] = [];
  let isOn = true;
  const asking = (async () => {
    while (isOn)
      await Promise.all([
        ask().catch((error: unknown) => void wrong.push(String(error))),
        until('a moment', 1_000, () => undefined),
      ]);
  })();
  return async () => {
    isOn = false;
    await asking;
    return wrong;
  };
}

story(
  'an uninstall leaves sites and instances, and the next install goes on with them',
  async () => {
    const uids = async (): Promise<string> => {
      const format =
        'jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\\n"}{end}';
      const kinds = ['cloudlets,apps,appinsts', '--all-namespaces'];
      return world.kubectl('get', ...kinds, '-o', format);
    };
    const [before, containers] = [await uids(), await containersOfInstance('web')];
    await world.bed.helm(['uninstall', release, '--namespace', system, '--wait'], {
      timeoutMs: 180_000,
    });
    await until('its pods to end', 60_000, async () => {
      const left = (await pods()).map(({ metadata }) => metadata.name);
      expect(left.length === 0, left.join(', '));
    });
    assert.equal(await uids(), before);
    assert.match(await fetchText(url), /^version 2 on /, 'the site needs no region');
    const seconds = await installToReady(world.bed);
    console.log(`installed again in ${seconds.toFixed(1)} s`);
    assert.equal(await uids(), before);
    await until('the site to be connected again', 90_000, () => world.cloudletReady(site));
    await world.apply(...instanceAt(site, 'web', web(world.images.web2)));
    await world.appInstReady('web');
    assert.deepEqual(await containersOfInstance('web'), containers);
  },
);

story('what is deleted is gone from its site', async () => {
  const running = async (): Promise<number> => {
    const lists = world.bed.phones.phones.map((phone) => phone.docker(['ps', '--quiet']));
    return (await Promise.all(lists)).join('').split('\n').filter(Boolean).length;
  };
  const before = await running();
  for (const name of ['web', 'ticker', 'pretended'])
    await world.kubectl('delete', 'appinst', name, '--timeout=60s');
  const { items } = await world.get<{ items: AppInst[] }>('appinsts', '-n', 'default');
  assert.deepEqual(items, []);
  await until('their containers to be gone', 30_000, async () =>
    expect((await running()) <= before - 2, `${await running()} of ${before} run`),
  );
});
