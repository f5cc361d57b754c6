/**
 * `npm run soak -- --hours N`: a region with hollow sites and a phone, reconnects, changes and faults at a
 * moderate pace, and whether anything grows meanwhile. Prints slopes, draws the run, and leaves nothing behind.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '@cloudlet/runtime/base';
import { picture, resultJson, slopesTable } from '../soak/report.ts';
import { runSoak, type SoakResult } from '../soak/run.ts';
import {
  controlPlaneTools,
  ensureControlPlaneBinaries,
  ensureTools,
  isRoot,
  type Phones,
} from '../testbed/index.ts';
import { machineLoad, phonesOf, temporaryFolder } from './steps/bed.ts';
import { takeTurn } from './steps/lock.ts';
import { type CommandContext, runMain } from './steps/main.ts';

const flagTable = {
  hours: { type: 'number', default: 1, description: 'How long; may be a fraction.' },
  sites: { type: 'number', default: 50, description: 'Hollow sites.' },
  instances: { type: 'number', default: 60, description: 'AppInsts at most.' },
  rate: { type: 'number', default: 0.2, description: 'Transitions asked for in a second.' },
  every: { type: 'number', default: 30, description: 'Seconds between two samples.' },
  'warm-up': {
    type: 'number',
    description: 'Minutes that are not judged. Default: 20, of a short run a third.',
  },
  seed: { type: 'number', default: 1, description: 'Gives faults, targets and transitions.' },
  out: { type: 'string', default: 'dist/soak', description: 'Folder for picture and figures.' },
} as const;

const warmUpMinutes = 20;

const usage = {
  call: 'npm run soak -- [flags]',
  summary: 'Hours, and what grows.',
  flags: flagTable,
};

await runMain(usage, async (context, flags) => {
  const { progress, signal } = context;
  const { hours, sites, instances, rate, seed, every } = flags;
  await ensureTools(progress, controlPlaneTools);
  await ensureControlPlaneBinaries(progress, signal);
  await takeTurn(context, 'soak');
  progress(`seed ${seed}`);
  const phones = await phoneOf(context);
  const warmUp = flags['warm-up'] ?? Math.min(warmUpMinutes, (hours * 60) / 3);
  const result = await runSoak({
    ...{ hours, sites, instances, rate, seed, everySeconds: every, warmUpMinutes: warmUp },
    ...{ phones, dir: await temporaryFolder(context, 'soak'), progress, signal },
    onRound: (soFar) => write(soFar, flags.out),
  });
  return tell(result, flags.out);
});

/** The agent on a phone is left out where there can be none, and it is said so. */
async function phoneOf(context: CommandContext): Promise<Phones | undefined> {
  if (!isRoot()) {
    context.progress('left out: the agent on a phone, which needs root');
    return undefined;
  }
  try {
    return await phonesOf(context, { count: 1, prefix: 'kphone', net: '10.79.9', arm: false });
  } catch (error) {
    context.signal.throwIfAborted();
    context.progress(`left out: the agent on a phone: ${describeError(error)}`);
    return undefined;
  }
}

async function write(result: SoakResult, out: string): Promise<void> {
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'soak.svg'), picture(result));
  await writeFile(join(out, 'soak.json'), resultJson(result));
  await writeFile(join(out, 'soak.txt'), `${slopesTable(result.verdicts)}\n`);
}

async function tell(result: SoakResult, out: string): Promise<number> {
  const { verdicts, faults, asked, carriedOut, sessions, missed, restarts, found } = result;
  await write(result, out);
  console.log(slopesTable(verdicts));
  const total = [...faults.values()].reduce((sum, times) => sum + times, 0);
  console.log(`${total} faults, ${asked} transitions asked for, ${carriedOut} plans carried out`);
  console.log(`${sessions.opened} sessions, ${sessions.failed} refused or cut by a fault`);
  for (const [name, times] of missed) console.log(`${name}: ${times} samples are missing`);
  for (const [name, times] of restarts)
    console.log(`${name}: started again ${times} times, sampled since the last`);
  console.log(`load of the machine after: ${machineLoad()}; picture and figures: ${out}`);
  const grows = verdicts.filter(({ isWell }) => !isWell).length;
  const isCut = sessions.opened === 0;
  console.log(grows > 0 ? `${grows} grow` : isCut ? 'no session came through' : 'nothing grows');
  if (found !== undefined) console.log(found);
  return grows > 0 || isCut || found !== undefined ? 1 : 0;
}
