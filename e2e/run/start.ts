/**
 * `npm start`: a region, a site of phones and an App that answers, on this machine, until Ctrl-C.
 *
 * Guarantees: says what it does and for how long; whatever ends it, it cleans up what it started; with
 * `--once` it checks that the App answers and rolls out, cleans up and ends with 0.
 */
import { chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type AppInst, labels } from '@cloudlet/crds';
import type { FlagValues } from '@cloudlet/runtime/base';
import {
  checkProvider,
  type ControlPlane,
  controlPlaneTools,
  ensureControlPlaneBinaries,
  ensureTools,
  expect,
  findCommand,
  formSwarm,
  type Phones,
  phoneTools,
  provideControlPlane,
  pushAgentImage,
  pushHaproxyImage,
  pushWebImage,
  startPhones,
  startRegion,
  startSite,
  stateDir,
  until,
} from '../testbed/index.ts';
import { borrow, giveBack, removeObjects } from './steps/borrowed.ts';
import { applyObjects, demo, demoObjects, howToGoOn } from './steps/demo.ts';
import { runAsRoot, user } from './steps/elevate.ts';
import { takeLock } from './steps/lock.ts';
import { type CommandContext, runMain } from './steps/main.ts';
import { removeShop, runShop } from './steps/shop.ts';

const flagTable = {
  once: { type: 'boolean', description: 'Check that all works, clean up and exit 0.' },
  phones: { type: 'number', default: 3, description: 'Phones of the site.' },
  managers: { type: 'number', default: 1, description: 'How many of them manage the swarm.' },
  shop: { type: 'boolean', description: 'The coffee shop and the panel of e2e/demo too.' },
  provider: {
    type: 'string',
    default: 'embedded',
    oneOf: ['embedded', 'context'],
    description: "The region's Kubernetes: one of its own, or a context of your kubeconfig.",
  },
  context: { type: 'string', description: 'Name of that context; never chosen for you.' },
} as const;

type StartFlags = FlagValues<typeof flagTable>;

const usage = {
  call: 'npm start -- [flags]',
  summary: 'A region and a site of phones on this machine.',
  flags: flagTable,
};

await runMain(usage, async (context, flags) => {
  // A context wants kubectl alone.
  if (checkProvider(flags) === undefined || findCommand('kubectl') === undefined) {
    await ensureControlPlaneBinaries(context.progress, context.signal);
  }
  const asRoot = await runAsRoot(context, 'phones');
  if (asRoot !== undefined) return asRoot;
  context.cleanup.defer(await takeLock('start'));
  return start(flags, context);
});

async function start(flags: StartFlags, context: CommandContext): Promise<number> {
  const { progress, cleanup, signal } = context;
  await ensureTools(progress, [...controlPlaneTools, ...phoneTools]);
  const dir = stateDir('start');
  await rm(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
  try {
    return await startIn(dir, flags, context);
  } catch (error) {
    if (!signal.aborted) {
      const kept = stateDir('start-failed');
      await rm(kept, { recursive: true, force: true });
      await cp(dir, kept, { recursive: true, filter: isLogOrFolder });
      progress(`the logs are kept in ${kept}`);
    }
    throw error;
  }
}

/** Everything but logs may hold keys. */
function isLogOrFolder(path: string): boolean {
  return path.endsWith('.log') || statSync(path).isDirectory();
}

async function startIn(dir: string, flags: StartFlags, context: CommandContext): Promise<number> {
  const { progress, cleanup, signal } = context;

  const { provider } = flags;
  const controlPlane = await provideControlPlane({
    ...{ provider, context: flags.context, dir: join(dir, 'controlplane'), progress },
  });
  cleanup.defer(() => controlPlane.stop());
  progress(`the region's API server is ${controlPlane.server}`);
  if (controlPlane.provider === 'context') {
    await borrow(controlPlane, flags.context ?? '');
    cleanup.defer(() => giveBack(controlPlane));
  }
  signal.throwIfAborted();
  const phones = await startPhones({ count: flags.phones, progress });
  cleanup.defer(() => phones.stop());
  signal.throwIfAborted();
  const [first, second] = await Promise.all([
    pushWebImage(phones.registry, { version: '1', progress }),
    pushWebImage(phones.registry, { version: '2' }),
    formSwarm(phones.phones, { managers: flags.managers }),
  ]);
  progress(`a swarm of ${flags.phones} phones, ${flags.managers} of them managers`);
  signal.throwIfAborted();
  await startProduct(flags, context, { dir, controlPlane, phones });
  const uri = await runDemo(context, controlPlane, first.reference);
  if (flags.shop) await runShop(context, controlPlane, phones);
  if (flags.once) return check(context, { dir, controlPlane, phones }, uri, second.reference);
  const bin = await programs(dir, controlPlane);
  const { kubeconfig } = controlPlane;
  handOver(kubeconfig);
  console.log(howToGoOn({ kubeconfig, uri, bin, nextImage: second.reference, logs: dir }));
  await aborted(signal);
  return 0;
}

interface Bed {
  readonly dir: string;
  readonly controlPlane: ControlPlane;
  readonly phones: Phones;
}

async function startProduct(
  flags: StartFlags,
  { progress, cleanup, signal }: CommandContext,
  { dir, controlPlane, phones }: Bed,
): Promise<void> {
  const regionStarts = async (): Promise<void> => {
    const region = await startRegion({
      controlPlane,
      dir: join(dir, 'region'),
      host: phones.hostIp,
      // A cluster elsewhere cannot reach an access server on this machine.
      access: controlPlane.provider === 'embedded',
      progress,
    });
    cleanup.defer(() => region.stop());
  };
  const [loadBalancer, helper] = await Promise.all([
    pushHaproxyImage(phones.registry, { progress }),
    pushAgentImage(phones.registry, { progress }),
    regionStarts(),
  ]);
  signal.throwIfAborted();
  const isBorrowed = controlPlane.provider === 'context';
  if (isBorrowed) cleanup.defer(() => removeObjects(controlPlane));
  const site = await startSite({
    controlPlane,
    cloudlet: demo.cloudlet,
    spec: {
      operator: 'demo',
      location: { latitude: 58.38, longitude: 26.72 },
      // The panel of the demo looks at the engines.
      dockerSwarm: { hostPaths: ['/var/run/docker.sock'] },
    },
    phones: phones.phones.slice(0, flags.managers),
    dir: join(dir, 'site'),
    args: ['--lb-image', loadBalancer.reference, '--helper-image', helper.reference],
    progress,
  });
  cleanup.defer(() => site.stop());
  // First while the site acts, which lets go of its instances.
  if (isBorrowed) cleanup.defer(() => removeObjects(controlPlane));
  progress(`Cloudlet ${demo.cloudlet} is Ready`);
  signal.throwIfAborted();
}

/** Applies the demo and waits until it answers. @returns its URI. */
async function runDemo(
  { progress, cleanup, signal }: CommandContext,
  controlPlane: ControlPlane,
  image: string,
): Promise<string> {
  cleanup.defer(() => removeDemo(controlPlane));
  progress(`kubectl apply of App ${demo.app} and AppInst ${demo.appInst}`);
  await applyObjects(controlPlane, demoObjects(image));
  const uri = await until(
    `AppInst ${demo.appInst} to be Ready`,
    120_000,
    async () => {
      const { status } = await getAppInst(controlPlane);
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      expect(ready?.status === 'True' && status?.uri, JSON.stringify(status?.conditions ?? []));
      return status.uri;
    },
    { signal },
  );
  progress(`AppInst ${demo.appInst} is Ready at ${uri}`);
  const answer = await answerOf(uri, /version 1 /, signal);
  progress(`${uri} says: ${answer}`);
  return uri;
}

async function getAppInst({ kubectl }: ControlPlane): Promise<AppInst> {
  const get = ['get', 'appinst', demo.appInst, '--namespace', demo.namespace, '-o', 'json'];
  return JSON.parse(await kubectl(get)) as AppInst;
}

function answerOf(uri: string, wanted: RegExp, signal: AbortSignal): Promise<string> {
  return until(
    `${uri} to answer ${String(wanted)}`,
    120_000,
    async (deadline) => {
      const response = await fetch(uri, { signal: deadline });
      const text = (await response.text()).trim();
      expect(response.ok && wanted.test(text), `it answers ${response.status} ${text}`);
      return text;
    },
    { signal },
  );
}

/** The rest of a life: a new version rolls out, and what is deleted is gone from the phones. */
async function check(
  { progress, signal }: CommandContext,
  { controlPlane, phones }: Bed,
  uri: string,
  nextImage: string,
): Promise<number> {
  const patch = JSON.stringify({ spec: { version: '2', image: nextImage } });
  const target = ['app', demo.app, '--namespace', demo.namespace];
  await controlPlane.kubectl(['patch', ...target, '--type', 'merge', '-p', patch]);
  progress(`App ${demo.app} changed to ${nextImage}`);
  progress(`${uri} says: ${await answerOf(uri, /version 2 /, signal)}`);
  await removeDemo(controlPlane);
  await removeShop(controlPlane);
  const ofInstances = ['--filter', `label=${labels.instanceId}`];
  const services = await phones.phones[0]?.docker(['service', 'ls', '--quiet', ...ofInstances]);
  expect(services?.trim() === '', `the swarm still has services: ${services}`);
  progress('AppInst and App are deleted, and gone from the phones');
  return 0;
}

async function removeDemo({ kubectl }: ControlPlane): Promise<void> {
  const gone = ['--ignore-not-found', '--namespace', demo.namespace, '--timeout=60s'];
  await kubectl(['delete', 'appinst', demo.appInst, ...gone], { timeoutMs: 70_000 });
  await kubectl(['delete', 'app', demo.app, ...gone], { timeoutMs: 70_000 });
}

/** kubectl as the demo calls it, with the plugin beside it. */
async function programs(dir: string, controlPlane: ControlPlane): Promise<string> {
  const bin = join(dir, 'bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(controlPlane.kubectlPath, join(bin, 'kubectl'));
  const plugin = join(import.meta.dirname, '../../cli/src/main.ts');
  const script = `#!/bin/sh\nexec '${process.execPath}' '${plugin}' "$@"\n`;
  writeFileSync(join(bin, 'kubectl-cloudlet'), script, { mode: 0o755 });
  return bin;
}

/** The kubeconfig is for the person who started this, not for root alone. */
function handOver(file: string): void {
  const owner = user();
  if (!owner) return;
  chownSync(file, owner.uid, owner.gid);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
