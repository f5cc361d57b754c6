/**
 * `npm run faults -- --seed S --count N`: a region with hollow sites, N faults drawn from the seed while
 * transitions are asked for, and after each round the check that nothing was lost, doubled or restarted.
 */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type FlagValues, TerminalError } from '@cloudlet/runtime/base';
import { FaultsFound } from '../faults/found.ts';
import { leavingName, phoneFaults, runPhoneFaults } from '../faults/phones.ts';
import { restoreName } from '../faults/restore.ts';
import { allFaults, runFaults } from '../faults/run.ts';
import {
  controlPlaneTools,
  ensureControlPlaneBinaries,
  ensureTools,
  phoneTools,
} from '../testbed/index.ts';
import { temporaryFolder } from './steps/bed.ts';
import { runAsRoot } from './steps/elevate.ts';
import { takeTurn } from './steps/lock.ts';
import { type CommandContext, runMain } from './steps/main.ts';

type Done = ReadonlyMap<string, number>;

const regionNames = [...allFaults.map(({ name }) => name), restoreName];
const phoneNames = [...phoneFaults.map(({ name }) => name), leavingName];

const flagTable = {
  seed: { type: 'number', default: 1, description: 'Gives faults, targets and transitions.' },
  count: { type: 'number', default: 100, description: 'Faults.' },
  round: { type: 'number', default: 100, description: 'Faults between two checks.' },
  sites: { type: 'number', default: 24, description: 'Hollow sites.' },
  'per-process': { type: 'number', default: 4, description: 'Sites in a process.' },
  instances: { type: 'number', default: 48, description: 'AppInsts at most.' },
  rate: { type: 'number', default: 2, description: 'Transitions asked for in a second.' },
  fault: {
    type: 'list',
    description: `Fault to do; may be given again. Default: all (${regionNames.join(', ')}; of phones: ${phoneNames.join(', ')}).`,
  },
  phones: {
    type: 'boolean',
    description: 'Faults of real phones instead, one after the other; wants root.',
  },
  managers: { type: 'number', default: 3, description: 'With --phones: managers among the three.' },
  logs: { type: 'string', description: 'Folder for logs and data; kept. Default: none is kept.' },
} as const;

const usage = {
  call: 'npm run faults -- [flags]',
  summary: 'Faults, and what holds.',
  flags: flagTable,
};

await runMain(usage, async (context, flags) => {
  const { progress, signal } = context;
  const names = flags.phones ? phoneNames : regionNames;
  for (const name of flags.fault)
    if (!names.includes(name))
      throw new TerminalError('InvalidFlags', `no fault ${name}: there are ${names.join(', ')}`);
  await ensureControlPlaneBinaries(progress, signal);
  const asRoot = flags.phones ? await runAsRoot(context, 'phones') : undefined;
  if (asRoot !== undefined) return asRoot;
  await ensureTools(progress, [...controlPlaneTools, ...(flags.phones ? phoneTools : [])]);
  await takeTurn(context, flags.phones ? 'faults -- --phones' : 'faults');
  progress(`seed ${flags.seed}`);
  try {
    const faults = flags.phones ? await toPhones(context, flags) : await toRegion(context, flags);
    const done = [...faults].sort().map(([name, times]) => `  ${name.padEnd(20)} ${times}`);
    console.log(`faults done:\n${done.join('\n')}`);
    console.log(`seed ${flags.seed}: nothing lost, nothing doubled, nothing restarted`);
    return 0;
  } catch (error) {
    if (!(error instanceof FaultsFound)) throw error;
    console.log(error.message);
    console.log(`again: npm run faults -- ${process.argv.slice(2).join(' ')}`);
    return 1;
  }
});

type Flags = FlagValues<typeof flagTable>;

async function toRegion(context: CommandContext, flags: Flags): Promise<Done> {
  const { progress, signal } = context;
  const { seed, count, sites, instances, rate, logs } = flags;
  const { faults, asked, carriedOut, settledMs } = await runFaults({
    ...{ seed, count, sites, instances, rate, perRound: flags.round },
    perProcess: flags['per-process'],
    ...(flags.fault.length > 0 && { only: flags.fault }),
    dir: logs === undefined ? await temporaryFolder(context, 'faults') : await folderOf(logs),
    ...{ progress, signal },
  });
  console.log(`${asked} transitions asked for, ${carriedOut} plans carried out`);
  console.log(`all agreed at most ${Math.max(...settledMs) / 1_000} s after a round`);
  return faults;
}

async function toPhones({ progress, signal }: CommandContext, flags: Flags): Promise<Done> {
  const { seed, count, managers, fault: only } = flags;
  return runPhoneFaults({ seed, count, managers, only, progress, signal });
}

/** A new one below: what an earlier run left there is not to be taken over. */
async function folderOf(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  return mkdtemp(join(resolve(path), 'run-'));
}
