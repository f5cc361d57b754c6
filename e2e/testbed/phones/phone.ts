/**
 * One phone: a Docker engine in namespaces of its own, and what can be done to it.
 *
 * Guarantees: any process of this machine's root can do everything here with a phone that another one
 * started; a phone that was cut off stays so over a restart; power off kills all that runs in it at once, as
 * when the battery is pulled; boot waits until the engine answers.
 */
import { existsSync, readdirSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandOptions, runCommand, UnreachableError } from '@cloudlet/runtime/base';
import {
  childrenOf,
  commandLineOf,
  Ended,
  expect,
  type ManagedProcess,
  startProcess,
  tailOf,
  until,
} from '../process.ts';
import { cgroupHierarchies, type PhoneLayout, type PhonesLayout } from './layout.ts';
import { setForwarding, unwirePhone, wirePhone } from './network.ts';

export interface SpawnOptions {
  /** Name of the process in messages and of its log. */
  readonly name: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** @default a file in the phone's folder */
  readonly logFile?: string;
  readonly ready?: (signal: AbortSignal) => Promise<unknown>;
  readonly readyWithinMs?: number;
}

export interface Phone {
  readonly name: string;
  readonly ip: string;
  /** The engine's socket, as this host sees it; works on a phone that is cut off too. */
  readonly socketPath: string;
  /** The engine's socket as programs in the phone see it. */
  readonly innerSocketPath: string;
  readonly running: boolean;
  /** Runs docker against the engine; standard output. */
  docker(args: readonly string[], options?: CommandOptions): Promise<string>;
  /** Runs a program in the phone's namespaces to its end; standard output. */
  run(argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a program in the phone's namespaces; it ends with the phone, and with this process. */
  spawn(argv: readonly string[], options: SpawnOptions): Promise<ManagedProcess>;
  /** Drops all packets silently; the link stays up. */
  cut(): Promise<void>;
  heal(): Promise<void>;
  /** Kills everything in it at once. */
  powerOff(): Promise<void>;
  /** Starts what does not run, the phone or its dockerd, and waits until the engine answers. */
  boot(): Promise<void>;
  /** Kills dockerd alone (SIGKILL unless another signal is given) and waits until it is gone. */
  killDockerd(signal?: NodeJS.Signals): Promise<void>;
  /** Any signal that dockerd survives, such as SIGSTOP and SIGCONT. */
  signalDockerd(signal: NodeJS.Signals): Promise<void>;
}

export function phoneOf(layout: PhonesLayout, phone: PhoneLayout): Phone {
  const pid = (): number => {
    const found = initPid(phone);
    if (found === undefined) throw new UnreachableError(`${phone.name} is off`);
    return found;
  };
  const enter = (argv: readonly string[]): string[] => {
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid'];
    return ['--target', String(pid()), ...namespaces, '--', ...argv];
  };
  const cutMark = join(phone.dir, 'cut');
  return {
    name: phone.name,
    ip: phone.ip,
    socketPath: phone.socketPath,
    innerSocketPath: '/run/docker.sock',
    get running() {
      return initPid(phone) !== undefined;
    },
    docker: (args, options) => dockerOn(phone, args, options),
    async run(argv, options) {
      return (await runCommand('nsenter', enter(argv), options)).stdout;
    },
    spawn: (argv, options) => spawnIn(phone, enter(argv), options),
    async cut() {
      writeFileSync(cutMark, '');
      if (initPid(phone)) await setForwarding(layout, phone, false);
    },
    async heal() {
      rmSync(cutMark, { force: true });
      if (initPid(phone)) await setForwarding(layout, phone, true);
    },
    powerOff: () => powerOff(layout, phone),
    async boot() {
      await powerOn(layout, phone);
      writeFileSync(join(phone.dir, 'engine'), 'start\n');
      await engineAnswers(phone);
    },
    killDockerd: (signal = 'SIGKILL') => killDockerd(phone, pid(), signal),
    async signalDockerd(signal) {
      const found = dockerdOf(pid());
      expect(found !== undefined, `dockerd of ${phone.name} does not run`);
      process.kill(found, signal);
    },
  };
}

/** The phone's PID 1 as this host counts it; undefined when the phone is off. */
export function initPid(phone: PhoneLayout): number | undefined {
  const file = join(phone.dir, 'outer');
  if (!existsSync(file)) return undefined;
  const outer = Number(readFileSync(file, 'utf8'));
  return childrenOf(outer).find((pid) =>
    commandLineOf(pid)?.endsWith(`init.sh ${phone.dir} ${phone.name}`),
  );
}

async function dockerOn(
  phone: PhoneLayout,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { stdout } = await runCommand('docker', args, {
    ...options,
    env: { ...options.env, DOCKER_HOST: `unix://${phone.socketPath}`, DOCKER_CONTEXT: undefined },
  });
  return stdout;
}

function spawnIn(
  phone: PhoneLayout,
  enter: readonly string[],
  options: SpawnOptions,
): Promise<ManagedProcess> {
  const inner = enter.indexOf('--') + 1;
  return startProcess({
    logFile: join(phone.dir, `${options.name}.log`),
    ...options,
    name: `${options.name} on ${phone.name}`,
    command: 'nsenter',
    args: [
      ...enter.slice(0, inner),
      // nsenter stays as parent (a PID namespace is for children only): when it dies the program does.
      ...['setpriv', '--pdeathsig', 'KILL', '--'],
      ...enter.slice(inner),
    ],
    wrapper: true,
  });
}

/** Starts the phone unless it runs. Its supervisor must run. */
export async function powerOn(layout: PhonesLayout, phone: PhoneLayout): Promise<void> {
  if (initPid(phone) !== undefined) return;
  await wirePhone(layout, phone);
  if (existsSync(join(phone.dir, 'cut'))) await setForwarding(layout, phone, false);
  writeFileSync(join(phone.dir, 'power'), 'on\n');
  await until(`${phone.name} to start`, 20_000, () => {
    expect(initPid(phone), `see ${phone.dir}/supervisor.log`);
  });
}

export async function engineAnswers(phone: PhoneLayout): Promise<void> {
  await until(`the engine of ${phone.name}`, 60_000, async (signal) => {
    if (initPid(phone) === undefined) {
      const log = tailOf(join(phone.dir, 'supervisor.log'), 10);
      throw new Ended(`${phone.name} went down while starting:\n${log}`);
    }
    await dockerOn(phone, ['version', '--format', '{{.Server.Version}}'], { signal });
  }).catch((cause: unknown) => {
    const log = tailOf(join(phone.dir, 'dockerd.log'), 10);
    throw new UnreachableError(`the engine of ${phone.name} does not answer:\n${log}`, { cause });
  });
}

export async function powerOff(layout: PhonesLayout, phone: PhoneLayout): Promise<void> {
  const pid = initPid(phone);
  if (pid !== undefined) {
    process.kill(pid, 'SIGKILL');
    await until(`${phone.name} to end`, 20_000, () => {
      expect(commandLineOf(pid) === undefined, `process ${pid} is still there`);
    });
  }
  for (const name of ['outer', 'docker.sock']) rmSync(join(phone.dir, name), { force: true });
  await unwirePhone(layout, phone);
  await until(`the cgroup of ${phone.name} to empty`, 20_000, () => {
    removeCgroup(join(layout.cgroup, phone.name));
  });
}

/** Removes a cgroup and those below it in every hierarchy; throws while a process is left in one. */
export function removeCgroup(name: string): void {
  for (const hierarchy of cgroupHierarchies()) removeTree(join(hierarchy, name));
}

function removeTree(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(folder, entry.name));
  }
  rmdirSync(folder);
}

async function killDockerd(
  phone: PhoneLayout,
  init: number,
  signal: NodeJS.Signals,
): Promise<void> {
  const pid = dockerdOf(init);
  if (pid === undefined) return;
  process.kill(pid, signal);
  await until(`dockerd of ${phone.name} to end`, 30_000, () => {
    expect(!childrenOf(init).includes(pid), `process ${pid} is still there`);
  });
}

const dockerdOf = (init: number): number | undefined =>
  childrenOf(init).find((child) => commandLineOf(child)?.startsWith('dockerd '));
