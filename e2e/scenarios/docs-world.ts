/**
 * The world in which the documents' commands are run: a region, the site of phones and the App that `npm start`
 * makes, and the folder of a reader who cloned the repository.
 *
 * Guarantees: commands run in the reader's folder, where what they write stays; of the repository they see links;
 * what a document cannot know (the registry's address, the audit log's path) is put in its place.
 */
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { AppInst } from '@cloudlet/crds';
import { bundlePlugin } from '@cloudlet/cli/bundle';
import { type CommandResult, describeError, runCommand } from '@cloudlet/runtime/base';
import { applyObjects, demo, demoObjects } from '../run/steps/demo.ts';
import { expect, pushWebImage, repositoryRoot, until } from '../testbed/index.ts';
import { startWorld, type World } from './swarm-world.ts';

export interface DocsWorld extends AsyncDisposable {
  readonly world: World;
  /** A page's text as its reader would write it here. */
  fill(text: string): string;
  /** Puts a file into the reader's folder. */
  write(name: string, text: string): void;
  /** Runs a line of a document; its exit code may be any. */
  run(line: string): Promise<CommandResult>;
  /** Runs a line that goes on until Ctrl-C, up to its first output, or for some seconds where it has none. */
  follow(line: string): Promise<void>;
  /** Resolves when every instance of the demo is Ready, and none is being changed. */
  settled(): Promise<void>;
}

/** What documents name and a reader has at hand. */
const rooms = ['charts', 'crds', 'docs', 'e2e', 'examples', 'operator', 'kind-config.yaml'];
const anyCode = Array.from({ length: 255 }, (_, code) => code + 1);

export async function openDocsWorld(): Promise<DocsWorld> {
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'docs-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const world = stack.use(await startWorld({ phones: 1, audit: true }));
  const { controlPlane, phones } = world;
  const folder = join(dir, 'reader');
  mkdirSync(folder);
  for (const room of rooms) symlinkSync(join(repositoryRoot, room), join(folder, room));
  const { auditLog = '' } = controlPlane;
  symlinkSync(auditLog, join(folder, 'audit.log'));
  const env = await readersEnvironment(dir, world);
  const native = { architectures: ['amd64'] } as const;
  const image = await pushWebImage(phones.registry, { version: '1', ...native });
  await pushWebImage(phones.registry, { version: '2', ...native });
  await applyObjects(controlPlane, [...demoObjects(image.reference), ...othersObjects()]);
  const fill = (text: string): string =>
    text
      .replaceAll('10.79.0.2:5000', phones.registry)
      .replaceAll('/var/log/kubernetes/audit.log', auditLog)
      .replaceAll(/\bNAME\b/g, sites.unjoined);
  // The one place where text is given to a shell: it is what a reader does with it.
  const shell = (line: string): [string, string[]] => ['sh', ['-eu', '-c', line]];
  const options = { cwd: folder, env };
  const owned = stack.move();
  return {
    ...{ world, fill },
    write: (name, text) => writeFileSync(join(folder, name), fill(text)),
    run: (line) => runCommand(...shell(fill(line)), { ...options, allow: anyCode }),
    follow: (line) =>
      follow((more) => runCommand(...shell(`exec ${fill(line)}`), { ...options, ...more })),
    settled: () => settled(world),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Sites that documents name, beside that of the phones: nobody has joined them yet. */
const sites = { unjoined: 'my-site', zone: 'city' } as const;

function othersObjects(): readonly object[] {
  const apiVersion = 'edge.cloudlet.dev/v1alpha1';
  const zoneRef = { name: sites.zone };
  const spec = { operator: 'campus', platform: 'DockerSwarm', zoneRef };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'argocd' } },
    { apiVersion, kind: 'Zone', metadata: { name: sites.zone }, spec: { operator: 'campus' } },
    { apiVersion, kind: 'Cloudlet', metadata: { name: sites.unjoined }, spec },
  ];
}

/** kubectl and its plugin on the PATH, and a kubeconfig that commands may change. */
async function readersEnvironment(
  dir: string,
  { controlPlane }: World,
): Promise<Readonly<Record<string, string>>> {
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  symlinkSync(controlPlane.kubectlPath, join(bin, 'kubectl'));
  await bundlePlugin(join(bin, 'kubectl-cloudlet'));
  const kubeconfig = join(dir, 'kubeconfig');
  copyFileSync(controlPlane.kubeconfig, kubeconfig);
  const { PATH: path = '' } = process.env;
  return {
    KUBECONFIG: kubeconfig,
    PATH: [bin, dirname(process.execPath), path].join(delimiter),
  };
}

const patienceMs = 5_000;

async function follow(
  start: (options: {
    signal: AbortSignal;
    onOutput: (chunk: string) => void;
  }) => Promise<CommandResult>,
): Promise<void> {
  const controller = new AbortController();
  const enough = new Error('enough was seen');
  let said = '';
  const onOutput = (chunk: string): void => {
    said += chunk;
    controller.abort(enough);
  };
  const patience = AbortSignal.timeout(patienceMs);
  try {
    await start({ signal: AbortSignal.any([controller.signal, patience]), onOutput });
  } catch (error) {
    if (error !== enough && error !== patience.reason) throw error;
    expect(!/^error/im.test(said), said);
    return;
  }
  throw new Error(`it ended by itself: ${said}`);
}

async function settled(world: World): Promise<void> {
  const get = ['get', 'appinsts', '--namespace', demo.namespace, '-o', 'json'];
  await until('all instances to be Ready', 60_000, async () => {
    const { items } = JSON.parse(await world.kubectl(...get)) as { items: AppInst[] };
    for (const { metadata, status } of items) {
      const { observedGeneration, conditions = [] } = status ?? {};
      const isTrue = (type: string): boolean =>
        conditions.some((condition) => condition.type === type && condition.status === 'True');
      const isSeen = observedGeneration === metadata.generation;
      // Ready alone may be of what ran before a change.
      const isSettled = isSeen && isTrue('Ready') && !isTrue('Reconciling');
      expect(isSettled, `${metadata.name}: ${JSON.stringify(conditions)}`);
    }
  }).catch((error: unknown) => {
    throw new Error(describeError(error), { cause: error });
  });
}
