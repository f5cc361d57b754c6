/** What must be true of the test bed itself, before anything that is proved on it counts. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  cgroupHierarchies,
  clearDeadPhones,
  commandLineOf,
  expect,
  formSwarm,
  type Phones,
  phonesUnavailable,
  pushBusyboxImage,
  pushWebImage,
  startControlPlane,
  startPhones,
  stateDir,
  swarmNodes,
  until,
} from '../testbed/index.ts';

/** Of its own, since it is cut, switched off and taken away here. */
const prefix = 'bedtest';
const net = '10.79.3';

/** Everything on this machine that bears the name of the set. */
function traces(state: string): string[] {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => commandLineOf(Number(pid))?.includes(`${state}/`));
  const links = readdirSync('/sys/class/net').filter((name) => name.startsWith(prefix));
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const groups = cgroupHierarchies().filter((path) => existsSync(join(path, `${prefix}s`)));
  return [
    ...processes.map((pid) => `process ${pid}: ${commandLineOf(Number(pid))}`),
    ...links.map((name) => `link ${name}`),
    ...namespaces.filter((name) => name.startsWith(prefix)).map((name) => `namespace ${name}`),
    ...mounts.filter((line) => line.includes(state)).map((line) => `mount ${line}`),
    ...groups.map((path) => `cgroup ${path}`),
    ...(existsSync(state) ? [`folder ${state}`] : []),
  ];
}

describe('phones', { skip: phonesUnavailable() }, () => {
  let state: string;
  let set: Phones;

  before(async () => {
    state = stateDir(prefix);
    set = await startPhones({ count: 3, prefix, net, state });
  });

  after(async () => {
    await set.stop();
  });

  const phone = (number: number) => {
    const found = set.phones[number - 1];
    assert.ok(found);
    return found;
  };

  /** Nobody listens on the port: an answer that says so is an answer. */
  const knock = `
    const [host] = process.argv.slice(1);
    const socket = require('node:net').connect({ host, port: 9 });
    socket.on('error', ({ code }) => process.exit(code === 'ECONNREFUSED' ? 0 : 1));
    setTimeout(() => process.exit(1), 1_000);`;
  const reaches = async (from: number, to: number): Promise<boolean> =>
    phone(from)
      .run([process.execPath, '-e', knock, phone(to).ip])
      .then(
        () => true,
        () => false,
      );

  test('each is an engine of its own, called by its own name', async () => {
    const ids = await Promise.all(
      set.phones.map((one) => one.docker(['info', '--format', '{{.ID}} {{.Name}}'])),
    );
    assert.equal(new Set(ids.map((id) => id.split(' ')[0])).size, 3);
    assert.deepEqual(
      ids.map((id) => id.trim().split(' ')[1]),
      ['bedtest1', 'bedtest2', 'bedtest3'],
    );
  });

  test('an image of linux/arm/v7 runs, and the engine takes its own of a list', async () => {
    const { reference } = await pushBusyboxImage(set.registry);
    const run = async (...options: string[]): Promise<string> => {
      const uname = [reference, '/bin/busybox', 'uname', '-m'];
      return (await phone(1).docker(['run', '--rm', ...options, ...uname])).trim();
    };
    assert.equal(await run('--platform', 'linux/arm/v7'), 'armv7l');
    await phone(1).docker(['rmi', '--force', reference]);
    assert.equal(await run(), 'x86_64');
  });

  test('a web server of both architectures answers this host with its version', async () => {
    const { reference } = await pushWebImage(set.registry, { version: 'bed' });
    for (const [platform, port] of [
      ['linux/amd64', '8081'],
      ['linux/arm/v7', '8082'],
    ] as const) {
      await phone(2).docker(['pull', '--quiet', '--platform', platform, reference]);
      const publish = ['--publish', `${port}:8080`, '--platform', platform];
      await phone(2).docker(['run', '--detach', ...publish, reference]);
      await until(`the web server of ${platform}`, 20_000, async (signal) => {
        const response = await fetch(`http://${phone(2).ip}:${port}/version`, { signal });
        assert.equal((await response.text()).trim(), 'bed');
      });
    }
  });

  test('a phone that is cut off hears nobody until it is healed, also over a restart', async () => {
    assert.equal(await reaches(1, 2), true);
    await phone(2).cut();
    assert.equal(await reaches(1, 2), false);
    assert.match(await phone(2).docker(['version']), /Server/); // its own socket still answers
    await phone(2).powerOff();
    await phone(2).boot();
    assert.equal(await reaches(1, 2), false);
    await phone(2).heal();
    await until('phone 2 to be reached', 10_000, async () => {
      expect(await reaches(1, 2), 'no answer');
    });
  });

  test('what runs in a phone dies with its power', async () => {
    const program = await phone(3).spawn(['sleep', '1000'], { name: 'sleeper' });
    assert.equal(program.running, true);
    await phone(3).powerOff();
    assert.equal(phone(3).running, false);
    await program.exited;
    await assert.rejects(phone(3).run(['true']), /is off/);
    await phone(3).boot();
    assert.match(await phone(3).docker(['version']), /Server/);
  });

  test('the registry answers at once though every phone was switched off and on', async () => {
    const url = `http://${set.registry}/v2/`;
    assert.equal((await fetch(url)).status, 200);
    for (const one of set.phones) await one.powerOff();
    for (const one of set.phones) await one.boot();
    const signal = AbortSignal.timeout(2_000);
    const answer = await fetch(url, { signal, headers: { connection: 'close' } });
    assert.equal(answer.status, 200);
  });

  test('a program in a phone ends when it is stopped', async () => {
    const program = await phone(3).spawn(['sleep', '1000'], { name: 'sleeper' });
    assert.match(await phone(3).run(['ps', '-e', '-o', 'args']), /sleep 1000/);
    await program.stop();
    assert.equal(program.running, false);
    assert.doesNotMatch(await phone(3).run(['ps', '-e', '-o', 'args']), /sleep 1000/);
  });

  test('an engine that was killed comes back with the same identity', async () => {
    const id = await phone(1).docker(['info', '--format', '{{.ID}}']);
    await phone(1).killDockerd();
    assert.equal(phone(1).running, true);
    await assert.rejects(phone(1).docker(['info']));
    await phone(1).boot();
    assert.equal(await phone(1).docker(['info', '--format', '{{.ID}}']), id);
  });

  test('they form a swarm, and form it anew from any state', async () => {
    await formSwarm(set.phones, { managers: 1 });
    await formSwarm(set.phones, { managers: 3 });
    const nodes = await swarmNodes(phone(1));
    assert.deepEqual(
      nodes.map(({ name, status, manager }) => [name, status, manager]),
      [
        ['bedtest1', 'Ready', 'Leader'],
        ['bedtest2', 'Ready', 'Reachable'],
        ['bedtest3', 'Ready', 'Reachable'],
      ],
    );
  });

  test('a set that runs is taken as it is', async () => {
    const again = await startPhones({ count: 3, prefix, net, state });
    assert.deepEqual(
      again.phones.map(({ name, running }) => [name, running]),
      set.phones.map(({ name }) => [name, true]),
    );
    await again.stop(); // ends nothing: it did not start them
    assert.equal(phone(1).running, true);
  });

  test('stop leaves no process, namespace, link, mount, cgroup or file', async () => {
    assert.notDeepEqual(traces(state), []);
    await set.stop();
    assert.deepEqual(traces(state), []);
  });

  async function startAndKillOwner(): Promise<void> {
    const owner = fork(join(import.meta.dirname, 'testbed-owner.ts'), [prefix, net, state], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(owner, 'message');
    await killed(owner);
    await until('the engines to end', 20_000, () => {
      const left = traces(state).filter((trace) => trace.startsWith('process'));
      expect(left.length === 0, left.join('; '));
    });
  }

  test('what a killed owner left can be cleared away by another', async () => {
    await startAndKillOwner();
    assert.notDeepEqual(traces(state), []);
    await clearDeadPhones();
    assert.deepEqual(traces(state), []);
  });

  test('what a killed owner left is cleared by its names where its folder is another', async () => {
    await startAndKillOwner();
    const elsewhere = await mkdtemp(join(tmpdir(), 'bed-'));
    await rename(state, join(elsewhere, 's'));
    set = await startPhones({ count: 1, prefix, net, state });
    await set.stop();
    assert.deepEqual(traces(state), []);
    await rm(elsewhere, { recursive: true });
  });

  test('a killed owner takes the engines along, and the next start clears the rest', async () => {
    await startAndKillOwner();
    set = await startPhones({ count: 1, prefix, net, state });
    assert.match(await phone(1).docker(['version']), /Server/);
    await set.stop();
    assert.deepEqual(traces(state), []);
  });
});

async function killed(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

test('a control plane keeps its objects when its parts are killed', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'bed-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const region = await startControlPlane({ dir });
  t.after(() => region.stop());
  await region.kubectl(['create', 'namespace', 'kept']);
  for (const part of [region.controllerManager, region.apiserver, region.etcd]) {
    await part.kill();
    assert.equal(part.running, false);
  }
  for (const part of [region.etcd, region.apiserver, region.controllerManager]) await part.start();
  const names = await region.kubectl(['get', 'namespace', 'kept', '-o', 'name']);
  assert.equal(names.trim(), 'namespace/kept');
});

test('kubectl acts as another user when asked, with that one’s rights alone', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'bed-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const region = await startControlPlane({ dir });
  t.after(() => region.stop());
  await assert.rejects(
    region.kubectl(['get', 'secrets', '--all-namespaces'], { as: 'nobody', asGroups: ['people'] }),
    /Forbidden.*nobody/,
  );
});
