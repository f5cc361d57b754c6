/** A state folder that cannot be written: really read-only where the test may mount, else by its modes. */
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createFakeDriver, FakePlatform } from '@cloudlet/drivers/fake';
import {
  createLogger,
  FakeClock,
  parseFlags,
  runCommand,
  silentLogger,
  systemClock,
} from '@cloudlet/runtime/base';
import { exitCodeOf, runAgent } from './agent-process.ts';
import { agentFlags } from './options.ts';
import { Documents, systemDisk } from './store/index.ts';
import { aFolder, aPlan, Life } from './testing/builders.ts';
import { eventually, TestRegion } from './testing/region.ts';

interface Folder {
  readonly path: string;
  freeze(): Promise<void>;
}

/** As root modes count for nothing: a file system of its own, remounted. */
async function aFreezable(t: TestContext): Promise<Folder> {
  const root = await mkdtemp(join(tmpdir(), 'cloudlet-read-only-'));
  const path = join(root, 'state');
  await mkdir(path, { mode: 0o700 });
  const tidy = async (thaw: Promise<unknown>): Promise<void> => {
    await thaw;
    await rm(root, { recursive: true });
  };
  if (process.getuid?.() !== 0) {
    const setModes = async (folder: string, mode: number): Promise<void> => {
      for (const entry of await readdir(folder, { withFileTypes: true }))
        if (entry.isDirectory()) await setModes(join(folder, entry.name), mode);
      await chmod(folder, mode);
    };
    t.after(() => tidy(setModes(path, 0o700)));
    return { path, freeze: () => setModes(path, 0o500) };
  }
  await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path]);
  t.after(() => tidy(runCommand('umount', [path])));
  return {
    path,
    async freeze() {
      await runCommand('mount', ['-o', 'remount,ro', path]);
    },
  };
}

function startOn(t: TestContext, folder: string, args: readonly string[], platform: FakePlatform) {
  const base = ['--state-dir', folder, '--driver', 'fake', '--health-address', 'off'];
  const { flags } = parseFlags(agentFlags, [...base, ...args]);
  const stopping = new AbortController();
  const log: string[] = [];
  const ended = runAgent({
    ...{ flags, proxy: undefined, signal: stopping.signal },
    logger: createLogger({ write: (line) => void log.push(line) }),
    load: async (_flags, clock) => createFakeDriver({ clock, platform }),
  }).then(
    () => 0,
    (error: unknown) => exitCodeOf(error),
  );
  const stop = (): Promise<number> => {
    stopping.abort(new Error('the test ends the agent'));
    return ended;
  };
  t.after(stop);
  return { log, ended, stop };
}

const platformReady = (region: TestRegion): string => {
  const { conditions = [] } = region.siteReports.at(-1) ?? {};
  const found = conditions.find(({ type }) => type === 'PlatformReady');
  return `${found?.status} ${found?.reason}`;
};

test('an agent starts from a read-only folder, keeps what it has, says so and takes no plan', async (t) => {
  await using region = await TestRegion.start();
  const folder = await aFreezable(t);
  const platform = new FakePlatform({ clock: systemClock });
  const joinFile = join(await aFolder(t), 'join.json');
  await writeFile(joinFile, region.join());
  region.place(aPlan());
  const first = startOn(t, folder.path, ['--join-file', joinFile], platform);
  await eventually('the report', () => region.condition('Healthy') === 'True Healthy');
  assert.equal(await first.stop(), 0);
  await folder.freeze();

  const links = region.links.length;
  // A service hands the join over at each start.
  const second = startOn(t, folder.path, ['--join-file', joinFile], platform);
  const link = await eventually('another link', () => region.links[links]);
  assert.deepEqual(
    link.hello.have.map(({ id, sequence }) => [id, sequence]),
    [['id-1', 1]],
  );
  await eventually('it is told', () => platformReady(region) === 'False StateNotWritable');
  await eventually('the report', () => region.reports.at(-1)?.status.site.boot === link.hello.boot);
  assert.equal(region.condition('Healthy'), 'True Healthy');
  region.place(aPlan({ sequence: 2, replicas: 2 }));
  await eventually('it came', () => second.log.some((line) => /id-1\.next/.test(line)));
  assert.equal(
    platform.instances.get('id-1')?.replicas ?? 1,
    1,
    'a plan that cannot be kept waits',
  );
  assert.equal(platform.started, 1, 'nothing was restarted');
  assert.equal(await second.stop(), 0);
});

test('an agent that never joined does not start where it can keep nothing', async (t) => {
  await using region = await TestRegion.start();
  const folder = await aFreezable(t);
  await folder.freeze();
  const joinFile = join(await aFolder(t), 'join.json');
  await writeFile(joinFile, region.join());
  const platform = new FakePlatform({ clock: systemClock });
  assert.equal(await startOn(t, folder.path, ['--join-file', joinFile], platform).ended, 4);
});

test('a folder that can be written again is found, and the site is whole', async (t) => {
  const clock = new FakeClock();
  let failure: Error | undefined = new Error('read-only file system');
  const probe = (): Promise<void> => (failure ? Promise.reject(failure) : Promise.resolve());
  const life = await Life.start(await aFolder(t), createFakeDriver({ clock }), clock, { probe });
  await life.connect();
  await life.pass(2_000);
  const told = (): string | undefined =>
    life.uplink.sites.at(-1)?.conditions.find(({ type }) => type === 'PlatformReady')?.reason;
  assert.equal(told(), 'StateNotWritable');
  assert.match(life.agent.problems().join(), /the state folder: .*read-only/);
  failure = undefined;
  await life.pass(11_000);
  assert.equal(told(), 'Serving');
  failure = new Error('no space left');
  await life.pass(700_000);
  assert.equal(told(), 'StateNotWritable', 'found before a plan comes');
  await life.stop();
});

test('what an interrupted write left is no obstacle where it cannot be taken away', async (t) => {
  const folder = join(await aFolder(t), 'documents');
  const before = new Documents(folder, systemDisk, silentLogger);
  await before.open(() => undefined);
  await before.write('a', 'kept');
  await writeFile(join(folder, 'b.next'), 'half');
  const readOnly = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' }));
  const disk = { ...systemDisk, makeFolder: readOnly, remove: readOnly, rename: readOnly };
  const found = new Map<string, string>();
  const after = new Documents(folder, disk, silentLogger);
  await after.open((name, text) => void found.set(name, text));
  assert.deepEqual([...found], [['a', 'kept']]);
  assert.ok(after.intact);
  const missing = new Documents(join(folder, 'absent'), disk, silentLogger);
  await missing.open(() => assert.fail('there is nothing'));
});
