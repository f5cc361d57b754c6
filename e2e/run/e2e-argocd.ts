/**
 * `npm run e2e:argocd`: Argo CD, built from its Go module, drives `examples/gitops` in two regions: create,
 * change, repair of drift, an App that is broken, sites that are cut off, removal.
 *
 * Guarantees: says what it installs and builds, starts and stops all of it; the last line is
 * `N passed, N failed`.
 */
import { join } from 'node:path';
import { ensureArgoPrograms } from '../testbed/argocd/programs.ts';
import {
  controlPlaneTools,
  ensureControlPlaneBinaries,
  ensureTools,
  repositoryRoot,
} from '../testbed/index.ts';
import { takeTurn } from './steps/lock.ts';
import { runMain } from './steps/main.ts';
import { runNodeTests } from './steps/node-tests.ts';

const usage = {
  call: 'npm run e2e:argocd',
  summary: 'Lets Argo CD drive examples/gitops in two regions.',
  flags: {},
};

await runMain(usage, async (context) => {
  const { progress, signal } = context;
  await ensureTools(progress, controlPlaneTools);
  await ensureControlPlaneBinaries(progress, signal);
  await ensureArgoPrograms(progress, signal);
  await takeTurn(context, 'e2e:argocd');
  progress('two regions, five sites, Argo CD');
  const { passed, failed } = await runNodeTests({
    files: [join(repositoryRoot, 'e2e', 'gitops', 'stories.ts')],
    ...{ concurrency: 1, timeoutMs: 40 * 60_000, tellFiles: true, signal, progress },
  });
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
});
