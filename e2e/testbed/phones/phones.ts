/**
 * A set of phones: Docker engines in namespaces of their own on one bridge, with a registry that all of them
 * and this host reach.
 *
 * Guarantees: a set is named by its prefix; a set that runs is taken as it is, what a killed run left is
 * cleared away first; `stop` leaves no process, namespace, link, mount, cgroup or file; and without `stop`
 * the processes still end with this one. Needs root. Phones share this machine's kernel, clock and processors.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { isRoot, stateDir } from '../host.ts';
import { commandLineOf, type ManagedProcess, startProcess, until } from '../process.ts';
import { noProgress, type Progress } from '../progress.ts';
import { ensureTools, phoneTools } from '../tools.ts';
import { acquireArm, releaseArm } from './binfmt.ts';
import { layoutOf, type PhoneLayout, phoneLayout, type PhonesLayout } from './layout.ts';
import { layNetwork, removeNetwork } from './network.ts';
import { engineAnswers, type Phone, phoneOf, powerOff, powerOn, removeCgroup } from './phone.ts';

export interface PhonesOptions {
  readonly count: number;
  /** Names phones, namespaces, links and cgroups. @default 'phone' */
  readonly prefix?: string;
  /** First three numbers of the /24. @default '10.79.0' */
  readonly net?: string;
  /** State folder, not on overlayfs. @default a folder of the prefix's name in the state folder */
  readonly state?: string;
  /** Whether images of linux/arm/v7 run. @default true */
  readonly arm?: boolean;
  readonly progress?: Progress;
}

export interface Phones {
  /** Host and port; plain HTTP. */
  readonly registry: string;
  /** This host, as the phones see it. */
  readonly hostIp: string;
  /** File that `openPhones` reads in another process. */
  readonly inventory: string;
  readonly phones: readonly Phone[];
  /** Ends and deletes what this process started; nothing for a set that another one started. */
  stop(): Promise<void>;
}

/** Says whose a set is from before its start; the inventory is there once it runs. */
const ownerFile = 'owner.json';

interface Inventory {
  readonly prefix: string;
  readonly net: string;
  readonly count: number;
  readonly owner: number;
}

/** Brings up `count` phones, or takes those that run under the prefix. */
export async function startPhones(options: PhonesOptions): Promise<Phones> {
  const { count, prefix = 'phone', net = '10.79.0', arm = true, progress = noProgress } = options;
  const layout = layoutOf({ prefix, net, state: options.state ?? stateDir(prefix) });
  if (!isRoot()) throw new TerminalError('NotRoot', 'phones are made of namespaces: run as root');
  const inventory = join(layout.state, 'inventory.json');
  const running = existsSync(inventory) ? openPhones(inventory) : undefined;
  if (running?.phones.length === count && running.phones.every((phone) => phone.running)) {
    progress(`taking the ${count} phones that run as ${prefix}1 to ${prefix}${count}`);
    return running;
  }
  await ensureTools(progress, phoneTools);
  await clear(layout);
  const content: Inventory = { prefix, net, count, owner: process.pid };
  mkdirSync(layout.state, { recursive: true, mode: 0o700 });
  writeFileSync(join(layout.state, ownerFile), JSON.stringify(content) + '\n');
  const supervisors: ManagedProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const phone of layoutsIn(layout)) await powerOff(layout, phone);
    for (const supervisor of supervisors) await supervisor.stop();
    await clear(layout);
  };
  try {
    await startAll(layout, { count, arm }, supervisors);
  } catch (error) {
    await stop();
    throw error;
  }
  writeFileSync(inventory, JSON.stringify(content) + '\n');
  progress(
    `${count} phones run: ${layoutsIn(layout)
      .map(({ name, ip }) => `${name} ${ip}`)
      .join(', ')}`,
  );
  return phonesOf(layout, count, stop);
}

/** The phones of an inventory that another process keeps; its `stop` does nothing. */
export function openPhones(inventory: string): Phones {
  const { prefix, net, count } = JSON.parse(readFileSync(inventory, 'utf8')) as Inventory;
  const layout = layoutOf({ prefix, net, state: join(inventory, '..') });
  return phonesOf(layout, count, async () => undefined);
}

/** Why there can be no phones here, or undefined; fit for the `skip` of a test. */
export function phonesUnavailable(): string | undefined {
  if (process.env['CLOUDLET_TEST_PHONES']) return undefined;
  if (process.env['CLOUDLET_TEST_NO_PHONES']) return process.env['CLOUDLET_TEST_NO_PHONES'];
  return isRoot() ? undefined : 'phones are made of namespaces, which needs root';
}

/** The phones of the test run (`CLOUDLET_TEST_PHONES`), or some of its own where there are none. */
export async function phonesForTest(options: PhonesOptions): Promise<Phones> {
  const inventory = process.env['CLOUDLET_TEST_PHONES'];
  const shared = inventory ? openPhones(inventory) : undefined;
  if (shared === undefined || shared.phones.length < options.count) return startPhones(options);
  for (const phone of shared.phones) {
    await phone.heal();
    await phone.boot();
  }
  return { ...shared, phones: shared.phones.slice(0, options.count) };
}

function phonesOf(layout: PhonesLayout, count: number, stop: () => Promise<void>): Phones {
  return {
    registry: layout.registry,
    hostIp: layout.hostIp,
    inventory: join(layout.state, 'inventory.json'),
    phones: numbers(count).map((number) => phoneOf(layout, phoneLayout(layout, number))),
    stop,
  };
}

async function startAll(
  layout: PhonesLayout,
  { count, arm }: { count: number; arm: boolean },
  supervisors: ManagedProcess[],
): Promise<void> {
  const { state } = layout;
  const { stdout: fileSystem } = await runCommand('stat', ['-f', '-c', '%T', state]);
  if (fileSystem.trim() === 'overlayfs') {
    throw new TerminalError(
      'InvalidTestbed',
      `${state} is on overlayfs, where no engine can keep images`,
    );
  }
  if (arm) await acquireArm(layout.prefix);
  await layNetwork(layout);
  supervisors.push(await startRegistry(layout));
  const phones = numbers(count).map((number) => phoneLayout(layout, number));
  for (const phone of phones) {
    await prepare(layout, phone, phones);
    supervisors.push(
      await startProcess({
        name: `supervisor of ${phone.name}`,
        command: join(import.meta.dirname, 'supervise.sh'),
        args: [phone.dir, phone.name, layout.cgroup],
        logFile: join(phone.dir, 'supervisor.log'),
      }),
    );
    await powerOn(layout, phone);
  }
  for (const phone of phones) await engineAnswers(phone);
}

/** Plain HTTP, reachable from the phones and this host only. */
function startRegistry({ state, lan, registry }: PhonesLayout): Promise<ManagedProcess> {
  const config = join(state, 'registry.json');
  const settings = {
    version: 0.1,
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(state, 'registry') }, delete: { enabled: true } },
    http: { addr: registry },
  };
  writeFileSync(config, JSON.stringify(settings));
  return startProcess({
    name: 'docker-registry',
    command: 'nsenter',
    args: [`--net=/run/netns/${lan}`, '--', 'docker-registry', 'serve', config],
    logFile: join(state, 'registry.log'),
    ready: (signal) => fetch(`http://${registry}/v2/`, { signal }),
    readyWithinMs: 30_000,
  });
}

async function prepare(
  layout: PhonesLayout,
  phone: PhoneLayout,
  all: readonly PhoneLayout[],
): Promise<void> {
  const { dir, name } = phone;
  mkdirSync(join(dir, 'data'), { recursive: true });
  const hosts = [
    '127.0.0.1 localhost',
    '::1 localhost',
    ...all.map((one) => `${one.ip} ${one.name}`),
  ];
  const settings = {
    'data-root': join(dir, 'data'),
    'exec-root': '/run/docker',
    pidfile: '/run/docker.pid',
    hosts: ['unix:///run/docker.sock', `unix://${phone.socketPath}`],
    'cgroup-parent': `/${layout.cgroup}/${name}`,
    'insecure-registries': [layout.registry],
    'storage-driver': 'overlay2',
    'log-level': 'warn',
  };
  writeFileSync(join(dir, 'daemon.json'), JSON.stringify(settings));
  writeFileSync(join(dir, 'hostname'), `${name}\n`);
  writeFileSync(join(dir, 'hosts'), hosts.join('\n') + '\n');
  writeFileSync(join(dir, 'resolv.conf'), '# no name server: nothing outside can be reached\n');
  await runCommand('mkfifo', ['-m', '600', join(dir, 'power'), join(dir, 'engine')]);
}

/**
 * Takes away all that a set of this prefix left or has, but for processes that another owner keeps; also what
 * a killed set left whose state was in another folder, which is told by its name alone.
 */
async function clear(layout: PhonesLayout): Promise<void> {
  const { prefix, state, cgroup } = layout;
  refuseForeign(layout);
  for (const phone of layoutsIn(layout)) await powerOff(layout, phone);
  const remedy = `if another set is up as '${prefix}', stop it or choose another prefix`;
  await until(`the cgroup ${cgroup} to empty (${remedy})`, 20_000, () => removeCgroup(cgroup));
  await removeNetwork(layout);
  releaseArm(prefix);
  if (existsSync(state)) await runCommand('rm', ['-rf', '--one-file-system', state]);
}

/**
 * Clears away the sets in the state folder whose process was killed: their engines ended with it, their
 * namespaces, links and files did not.
 */
export async function clearDeadPhones(folder = stateDir()): Promise<void> {
  if (!isRoot() || !existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const state = join(folder, name);
    const file = join(state, ownerFile);
    if (!existsSync(file)) continue;
    const { prefix, net, owner } = JSON.parse(readFileSync(file, 'utf8')) as Inventory;
    if (!isAlive(owner)) await clear(layoutOf({ prefix, net, state }));
  }
}

const isAlive = (owner: number): boolean => commandLineOf(owner)?.includes('node') ?? false;

function refuseForeign({ prefix, state }: PhonesLayout): void {
  const file = join(state, ownerFile);
  if (!existsSync(file)) return;
  const { owner } = JSON.parse(readFileSync(file, 'utf8')) as Inventory;
  if (owner === process.pid || !isAlive(owner)) return;
  throw new TerminalError(
    'InvalidTestbed',
    `process ${owner} keeps phones of the name '${prefix}' with another count: stop it first`,
  );
}

function layoutsIn(layout: PhonesLayout): PhoneLayout[] {
  if (!existsSync(layout.state)) return [];
  return readdirSync(layout.state)
    .filter((name) => name.startsWith(layout.prefix))
    .map((name) => Number(name.slice(layout.prefix.length)))
    .filter((number) => Number.isInteger(number) && number > 0)
    .sort((a, b) => a - b)
    .map((number) => phoneLayout(layout, number));
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
