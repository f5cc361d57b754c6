/**
 * `npm run e2e:upgrade`: the version before on a cluster of kind with many sites, `helm upgrade` to this one,
 * and `helm rollback`, measured by what each site notices.
 *
 * Guarantees: says first what is going to be built; takes everything down, also when it is interrupted; the
 * last line is `N passed, N failed`, and the exit code says the same.
 */
import { writeFile } from 'node:fs/promises';
import { keepBedLogs } from '../kind/bed.ts';
import { missingPrograms } from '../kind/programs.ts';
import { clearDeadPhones } from '../testbed/index.ts';
import { previousVersion } from '../upgrade/previous.ts';
import { runUpgrade } from '../upgrade/run.ts';
import { machineLoad, temporaryFolder } from './steps/bed.ts';
import { runAsRoot } from './steps/elevate.ts';
import { runMain } from './steps/main.ts';

const flagTable = {
  sites: { type: 'number', default: 1000, description: 'Hollow sites.' },
  from: {
    type: 'string',
    description:
      'Tag, branch or commit of the version before. Default: the newest tag v*, else the first version that could be installed.',
  },
  json: { type: 'string', description: 'File to write the figures to, as one flat object.' },
} as const;

const usage = {
  call: 'npm run e2e:upgrade -- [flags]',
  summary: 'Upgrades a region of many sites from the version before, and rolls it back.',
  flags: flagTable,
};

await runMain(usage, async (context, flags) => {
  const { progress, signal, cleanup } = context;
  const missing = missingPrograms();
  if (missing.length > 0)
    progress(`programs to build with Go, 10 to 20 minutes on two cores: ${missing.join(' ')}`);
  const previous = await previousVersion(flags.from, progress, signal);
  progress(`from ${previous.version} (${previous.name}), commit ${previous.commit.slice(0, 12)}`);
  const asRoot = await runAsRoot(context, 'nodes and phones');
  if (asRoot !== undefined) return asRoot;
  cleanup.defer(clearDeadPhones);
  progress(`load of the machine before: ${machineLoad()}`);
  const dir = await temporaryFolder(context, 'upgrade');
  const options = { dir, progress, signal, cleanup, previous, sites: flags.sites };
  const { figures, checks } = await runUpgrade(options).catch(async (error: unknown) => {
    if (!signal.aborted) await keepBedLogs(progress);
    throw error;
  });
  signal.throwIfAborted();
  const failed = checks.filter(({ problem }) => problem !== undefined).length;
  if (failed > 0) await keepBedLogs(progress);
  await cleanup.disposeAsync();
  if (flags.json) await writeFile(flags.json, JSON.stringify(figures, undefined, 2) + '\n');
  for (const [name, value] of Object.entries(figures)) console.log(`${name} ${shown(value)}`);
  for (const { name, problem } of checks)
    console.log(problem === undefined ? `ok ${name}` : `FAILED ${name}: ${problem}`);
  console.log(`${checks.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});

function shown(value: number): string {
  return Number.isInteger(value) ? `${value}` : value.toFixed(2);
}
