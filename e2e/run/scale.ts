/**
 * `npm run scale -- --sites 1000 --instances 10`: a region with hollow sites, phase by phase; prints figures
 * and costs, draws the run, and leaves nothing behind.
 */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { TerminalError } from '@cloudlet/runtime/base';
import { callsText, costTable, figuresTable, writeReport } from '../scale/report.ts';
import { type PhaseName, phaseNames, runScale } from '../scale/run.ts';
import { controlPlaneTools, ensureControlPlaneBinaries, ensureTools } from '../testbed/index.ts';
import { temporaryFolder } from './steps/bed.ts';
import { takeTurn } from './steps/lock.ts';
import { runMain } from './steps/main.ts';

const flagTable = {
  sites: { type: 'number', default: 1000, description: 'Hollow sites.' },
  instances: { type: 'number', default: 10, description: 'AppInsts at each.' },
  phase: {
    type: 'list',
    description: `Phase to run; may be given again. Default: all (${phaseNames.join(', ')}).`,
  },
  enrol: {
    type: 'string',
    default: 'joined',
    oneOf: ['joined', 'minted'],
    description:
      'How sites get certificates: as in the field, or made by the bed, which is faster.',
  },
  'per-process': { type: 'number', default: 250, description: 'Sites in a process.' },
  out: { type: 'string', default: 'dist/scale', description: 'Folder for charts and figures.' },
  json: { type: 'string', description: 'File to write the figures to, as one flat object.' },
  profile: {
    type: 'string',
    description: "Folder for processor profiles of the region's processes.",
  },
} as const;

const usage = {
  call: 'npm run scale -- [flags]',
  summary: 'Many sites, one region.',
  flags: flagTable,
};

await runMain(usage, async (context, flags) => {
  const { progress, signal } = context;
  await ensureTools(progress, controlPlaneTools);
  await ensureControlPlaneBinaries(progress, signal);
  await takeTurn(context, 'scale');
  let failed = false;
  await runScale(
    {
      ...{ sites: flags.sites, instances: flags.instances, enrol: flags.enrol, relay: true },
      phases: phasesOf(flags.phase),
      perProcess: flags['per-process'],
      dir: await temporaryFolder(context, 'scale'),
      ...(flags.profile && { profiles: resolve(flags.profile) }),
      ...{ progress, signal },
    },
    async (result) => {
      await writeReport(result, flags.out);
      if (flags.json)
        await writeFile(flags.json, JSON.stringify(result.figures, undefined, 2) + '\n');
      console.log(`${figuresTable(result.phases)}\n\n${costTable(result.phases)}`);
      console.log(`\n${callsText(result.phases)}\n\ncharts: ${flags.out}`);
      failed = result.phases.some(({ failure }) => failure !== undefined);
    },
  );
  return failed ? 1 : 0;
});

function phasesOf(named: readonly string[]): readonly PhaseName[] {
  const all = named.flatMap((part) => part.split(','));
  for (const name of all)
    if (!phaseNames.includes(name as PhaseName))
      throw new TerminalError(
        'InvalidFlags',
        `no phase ${name}: there are ${phaseNames.join(', ')}`,
      );
  return all.length === 0 ? phaseNames : (all as PhaseName[]);
}
