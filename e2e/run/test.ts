/**
 * `npm test`: everything, from the types to stories on a real control plane and real engines.
 *
 * Guarantees: brings up what it needs and takes it down, also when it is interrupted; names what it left out
 * and why; the last line is `N passed, N failed`, and the exit code says the same. Arguments choose files by
 * parts of their path: `npm test -- operator/src scenarios/region`.
 */
import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { describeError } from '@cloudlet/runtime/base';
import { usersEngine } from '../kind/engine.ts';
import { clearLeftContainers } from '../testbed/containers/left.ts';
import {
  clearDeadPhones,
  ensureControlPlaneBinaries,
  ensureTools,
  isRoot,
  controlPlaneTools,
  ensureCollector,
  repositoryRoot,
} from '../testbed/index.ts';
import { controlPlaneOf, phonesOf, temporaryFolder } from './steps/bed.ts';
import { runChecks } from './steps/checks.ts';
import { runAsRoot } from './steps/elevate.ts';
import { takeLock } from './steps/lock.ts';
import { type CommandContext, runMain } from './steps/main.ts';
import { addUp, runNodeTests, type Tally } from './steps/node-tests.ts';

/** Phones that all scenarios share. */
const phoneCount = 3;
/**
 * Lanes of scenarios by their names: those on phones of their own, those on the shared phones or that take the
 * machine's programs, and, last, what is left: beside the shared API server.
 */
const lanes = [
  /^(demo|docs|swarm|testbed)/,
  /^(agent|compose|delivery-(containers|images|install)|drivers)/,
  /./,
] as const;

const usage = {
  call: 'npm test -- [part of a path]...',
  summary: 'Tries everything, or the files whose path holds one of the words.',
  flags: {},
  takesWords: true,
};

await runMain(usage, async (context, _flags, chosen) => {
  const { progress, signal, cleanup } = context;
  await ensureControlPlaneBinaries(progress, signal);
  const scenarios = await testFiles(chosen, (file) => file.startsWith('e2e/scenarios/'));
  if (scenarios.some((file) => file.includes('cli-operability'))) await buildCollector(context);
  const asRoot = await runAsRoot(context);
  if (asRoot !== undefined) return asRoot;
  cleanup.defer(await takeLock('test'));
  // A scenario that is interrupted takes nothing down itself.
  cleanup.defer(clearDeadPhones);
  cleanup.defer(clearUsersEngine);
  await ensureTools(progress, controlPlaneTools);

  const tallies: Tally[] = [];
  if (chosen.length === 0) tallies.push(...(await runChecks(progress, signal)));
  const units = await testFiles(chosen, (file) => !file.startsWith('e2e/scenarios/'));
  progress(`unit tests: ${units.length} files`);
  tallies.push(
    await runNodeTests({
      files: units,
      concurrency: availableParallelism(),
      timeoutMs: 5 * 60_000,
      signal,
      progress,
    }),
  );
  signal.throwIfAborted();
  if (scenarios.length > 0) {
    await startBed(context);
    tallies.push(...(await runScenarios(scenarios, context)));
  }
  signal.throwIfAborted();
  await cleanup.disposeAsync();
  return tell(tallies, progress);
});

/**
 * Lanes side by side, because scenarios mostly wait for what they caused. In a lane one file follows the other.
 */
async function runScenarios(
  files: readonly string[],
  { progress, signal }: CommandContext,
): Promise<readonly Tally[]> {
  const laneOf = (file: string): number => lanes.findIndex((lane) => lane.test(basename(file)));
  const chosen = lanes.map((_, lane) => files.filter((file) => laneOf(file) === lane));
  const wanted = chosen.filter((lane) => lane.length > 0);
  progress(`scenarios: ${files.length} files in ${wanted.length} lanes`);
  const options = { concurrency: 1, timeoutMs: 20 * 60_000, signal, progress, tellFiles: true };
  return Promise.all(wanted.map((lane) => runNodeTests({ ...options, files: lane })));
}

/** Test files of the repository in order, by path from its root. */
async function testFiles(
  chosen: readonly string[],
  wanted: (file: string) => boolean,
): Promise<string[]> {
  const files: string[] = [];
  const rooms = '{crds,runtime,tunnel,drivers,operator,agent,cli,charts,e2e}/**/*.test.ts';
  // The last want a cluster with nodes, which `npm run e2e:kind` makes.
  const exclude = ['**/node_modules/**', '**/dist/**', 'e2e/kind/stories/**'];
  for await (const file of glob(rooms, { cwd: repositoryRoot, exclude })) files.push(file);
  return files
    .filter(wanted)
    .filter((file) => chosen.length === 0 || chosen.some((part) => file.includes(part)))
    .sort()
    .map((file) => join(repositoryRoot, file));
}

async function clearUsersEngine(): Promise<void> {
  const engine = await usersEngine();
  if (engine) await clearLeftContainers(engine);
}

/** Minutes with an empty cache, so where the screen shows them; the one scenario that wants it fails without. */
async function buildCollector({ progress, signal }: CommandContext): Promise<void> {
  try {
    await ensureCollector(progress, signal);
  } catch (error) {
    signal.throwIfAborted();
    progress(`no collector: ${describeError(error)}`);
  }
}

/** What all scenarios share; each makes what it needs beyond this. */
async function startBed(context: CommandContext): Promise<void> {
  const { progress } = context;
  const dir = await temporaryFolder(context, 'test');
  const region = await controlPlaneOf(context, dir);
  process.env['CLOUDLET_TEST_KUBECONFIG'] = region.kubeconfig;
  if (!isRoot()) return; // `runAsRoot` has told why
  try {
    const phones = await phonesOf(context, { count: phoneCount, prefix: 'tphone', net: '10.79.1' });
    process.env['CLOUDLET_TEST_PHONES'] = phones.inventory;
  } catch (error) {
    context.signal.throwIfAborted();
    process.env['CLOUDLET_TEST_NO_PHONES'] = describeError(error);
    progress(`no phones: ${describeError(error)}`);
  }
}

function tell(tallies: readonly Tally[], progress: (message: string) => void): number {
  const { passed, failed, skipped } = addUp(tallies);
  for (const line of skipped) progress(`left out: ${line}`);
  progress(skipped.length > 0 ? `${skipped.length} tests were left out` : 'nothing was left out');
  progress('a command of its own: npm run e2e:kind (the charts on a cluster with nodes)');
  progress('a command of its own: npm run e2e:upgrade (from the version before, with many sites)');
  progress('a command of its own: npm run e2e:argocd (Argo CD drives examples/gitops)');
  progress('commands of their own: npm run faults (by seed), soak (for hours), scale (many sites)');
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}
