/**
 * `npm run e2e:kind`: the chart on a cluster of kind, sites that join it from outside, and the stories of
 * e2e/kind/stories.
 *
 * Guarantees: says first what this machine lacks and how long that takes; pulls nothing where nothing can be
 * pulled; keeps what pods and node logged where a story failed; takes everything down, also when it is
 * interrupted; the last line is `N passed, N failed`, and the exit code says the same.
 */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { keepBedLogs, startKindBed } from '../kind/bed.ts';
import { missingPrograms } from '../kind/programs.ts';
import {
  clearDeadPhones,
  missingOf,
  packagesOf,
  phoneTools,
  type Progress,
  repositoryRoot,
} from '../testbed/index.ts';
import { machineLoad, temporaryFolder } from './steps/bed.ts';
import { runAsRoot } from './steps/elevate.ts';
import { runMain } from './steps/main.ts';
import { runNodeTests } from './steps/node-tests.ts';

const usage = {
  call: 'npm run e2e:kind',
  summary: 'Installs the chart on a cluster of kind and tries it from outside.',
  flags: {},
};

await runMain(usage, async (context) => {
  const { progress, signal, cleanup } = context;
  tellNeeds(progress);
  const asRoot = await runAsRoot(context, 'nodes and phones');
  if (asRoot !== undefined) return asRoot;
  cleanup.defer(clearDeadPhones);
  progress(`load of the machine before: ${machineLoad()}`);
  const dir = await temporaryFolder(context, 'kind');
  process.env['CLOUDLET_KIND_BED'] = await startKindBed({ dir, progress, signal, cleanup });
  progress('the stories begin');
  const stories = globSync('e2e/kind/stories/*.test.ts', { cwd: repositoryRoot }).sort();
  const { passed, failed } = await runNodeTests({
    files: stories.map((file) => join(repositoryRoot, file)),
    ...{ concurrency: 1, timeoutMs: 30 * 60_000, signal, progress, tellFiles: true },
  });
  signal.throwIfAborted();
  if (failed > 0) await keepBedLogs(progress);
  await cleanup.disposeAsync();
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
});

/** What is going to be installed and built. */
function tellNeeds(progress: Progress): void {
  const packages = packagesOf(missingOf(phoneTools));
  progress(
    packages.length > 0
      ? `Debian packages to install: ${packages.join(' ')}`
      : 'no Debian package has to be installed',
  );
  const programs = missingPrograms();
  progress(
    programs.length > 0
      ? `programs to build with Go, 10 to 20 minutes on two cores with an empty cache: ${programs.join(' ')}`
      : 'no program has to be built',
  );
}
