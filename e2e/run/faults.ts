/**
 * `npm run faults -- --seed S --count N`: a region with hollow sites, N faults drawn from the seed while
 * transitions are asked for, and after each round the check that nothing was lost, doubled or restarted.
 */
import { helpOf, parseFlags, TerminalError } from '@cloudlet/runtime/base';
import { allFaults, FaultsFound, runFaults } from '../faults/run.ts';
import { controlPlaneTools, ensureControlPlaneBinaries, ensureTools } from '../testbed/index.ts';
import { machineLoad, temporaryFolder } from './steps/bed.ts';
import { takeLock } from './steps/lock.ts';
import { runMain } from './steps/main.ts';

const names = allFaults.map(({ name }) => name);

const flagTable = {
  seed: { type: 'number', default: 1, description: 'Gives faults, targets and transitions.' },
  count: { type: 'number', default: 100, description: 'Faults.' },
  round: { type: 'number', default: 50, description: 'Faults between two checks.' },
  sites: { type: 'number', default: 12, description: 'Hollow sites.' },
  'per-process': { type: 'number', default: 4, description: 'Sites in a process.' },
  instances: { type: 'number', default: 36, description: 'AppInsts at most.' },
  rate: { type: 'number', default: 2, description: 'Transitions asked for in a second.' },
  fault: {
    type: 'list',
    description: `Fault to do; may be given again. Default: all (${names.join(', ')}).`,
  },
  help: { type: 'boolean', description: 'Print this text and exit.' },
} as const;

await runMain(async (context) => {
  const { progress, signal, cleanup } = context;
  const { flags } = parseFlags(flagTable, process.argv.slice(2));
  if (flags.help) {
    process.stdout.write(helpOf('npm run faults -- [flags]', 'Faults, and what holds.', flagTable));
    return 0;
  }
  for (const name of flags.fault)
    if (!names.includes(name))
      throw new TerminalError('InvalidFlags', `no fault ${name}: there are ${names.join(', ')}`);
  await ensureTools(progress, controlPlaneTools);
  await ensureControlPlaneBinaries(progress, signal);
  cleanup.defer(await takeLock('faults'));
  progress(`seed ${flags.seed}; load of the machine before: ${machineLoad()}`);
  try {
    const { faults, asked, carriedOut, settledMs } = await runFaults({
      ...{ seed: flags.seed, count: flags.count, perRound: flags.round, sites: flags.sites },
      ...{ perProcess: flags['per-process'], instances: flags.instances, rate: flags.rate },
      ...(flags.fault.length > 0 && { only: flags.fault }),
      dir: await temporaryFolder(context, 'faults'),
      ...{ progress, signal },
    });
    const done = [...faults].sort().map(([name, times]) => `  ${name.padEnd(20)} ${times}`);
    console.log(`faults done:\n${done.join('\n')}`);
    console.log(`${asked} transitions asked for, ${carriedOut} plans carried out`);
    console.log(`all agreed at most ${Math.max(...settledMs) / 1_000} s after a round`);
    console.log(`seed ${flags.seed}: nothing lost, nothing doubled, nothing restarted`);
    return 0;
  } catch (error) {
    if (!(error instanceof FaultsFound)) throw error;
    console.log(error.message);
    console.log(`again: npm run faults -- --seed ${flags.seed} --count ${flags.count}`);
    return 1;
  }
});
