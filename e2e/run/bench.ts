/**
 * `npm run bench`: measures, and prints one table beside the peers' figures and what is aimed at.
 *
 * Guarantees: starts only what the chosen benches need and takes it down; `--json FILE` writes every figure as
 * one flat object; a bench that fails is named, the others go on, and the exit code says so.
 */
import { existsSync } from 'node:fs';
import { glob, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError, TerminalError } from '@cloudlet/runtime/base';
import type { Bench, BenchContext, BenchNeed } from '../bench/contract.ts';
import { type Figure, pageOf, shown } from '../bench/markdown.ts';
import { picturesBeside } from '../bench/pictures.ts';
import { scaleFolder } from '../bench/scale.bench.ts';
import { targets } from '../bench/targets.ts';
import {
  controlPlaneTools,
  ensureControlPlaneBinaries,
  ensureTools,
  isRoot,
  phoneTools,
  repositoryRoot,
  startRegion,
} from '../testbed/index.ts';
import { controlPlaneOf, phonesOf, temporaryFolder } from './steps/bed.ts';
import { runAsRoot } from './steps/elevate.ts';
import { takeTurn } from './steps/lock.ts';
import { type CommandContext, runMain } from './steps/main.ts';

const flagTable = {
  json: { type: 'string', description: 'File to write the figures to, as one flat object.' },
  keep: {
    type: 'boolean',
    description: 'Figures that stand in the file of --json and are not measured now stay.',
  },
  markdown: { type: 'string', description: 'File to write all figures to as a page.' },
  only: {
    type: 'list',
    description:
      'Prefix of the benches to run; may be given again. Those that take long want their whole name.',
  },
  list: { type: 'boolean', description: 'Print the benches and exit.' },
} as const;

const usage = {
  call: 'npm run bench -- [flags]',
  summary: 'Measures the product.',
  flags: flagTable,
};

await runMain(usage, async (context, flags) => {
  const { progress, signal } = context;
  if (flags.list) {
    for (const { prefix, needs, whenAsked } of await readBenches()) {
      console.log(`${prefix} (${needs.join(', ')})${whenAsked ? ', only when asked' : ''}`);
    }
    return 0;
  }
  const benches = await findBenches(flags.only);
  const needs = new Set(benches.flatMap((bench) => bench.needs));
  if (needs.size > 0) await ensureControlPlaneBinaries(progress, signal);
  const asRoot = needs.has('phones') ? await runAsRoot(context) : undefined;
  if (asRoot !== undefined) return asRoot;
  await takeTurn(context, 'bench');
  const bed = await startNeeds(needs, context);
  const figures: Record<string, number> = flags.keep ? await readFigures(flags.json) : {};
  const rows: Figure[] = [];
  let failed = 0;
  for (const bench of benches) {
    signal.throwIfAborted();
    progress(`measuring ${bench.prefix}`);
    try {
      rows.push(...(await measure(bench, bed, context)));
    } catch (error) {
      signal.throwIfAborted();
      failed++;
      progress(`FAILED ${bench.prefix}: ${describeError(error)}`);
    }
    for (const { key, value } of rows) figures[key] = value;
    // Each at once: who interrupts a long run keeps what it measured.
    if (flags.json) await writeFile(flags.json, JSON.stringify(figures, undefined, 2) + '\n');
  }
  console.log(tableOf(rows));
  if (flags.markdown) {
    const sorted = Object.entries(figures).sort(([a], [b]) => a.localeCompare(b));
    const all = sorted.map(([key, value]) => ({ key, value, ...targets[key] }));
    const pictures = await picturesBeside(flags.markdown, scaleFolder);
    const today = new Date().toISOString().slice(0, 10);
    await writeFile(flags.markdown, pageOf(all, today, targets, pictures));
  }
  return failed === 0 ? 0 : 1;
});

async function measure(
  bench: Bench,
  bed: Omit<BenchContext, 'dir'>,
  context: CommandContext,
): Promise<readonly Figure[]> {
  const result = await bench.run({ ...bed, dir: await temporaryFolder(context, 'bench') });
  for (const note of result.notes ?? []) context.progress(`${bench.prefix}: ${note}`);
  return Object.entries(result.figures).map(([name, value]) => {
    const key = bench.isNamedInFull ? name : `${bench.prefix}.${name}`;
    return { key, value, ...targets[key] };
  });
}

async function readFigures(file: string | undefined): Promise<Record<string, number>> {
  if (file === undefined) throw new TerminalError('InvalidFlags', '--keep wants --json');
  if (!existsSync(file)) return {};
  return JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
}

async function findBenches(only: readonly string[]): Promise<Bench[]> {
  const chosen = (await readBenches()).filter(({ prefix, whenAsked }) =>
    whenAsked ? only.includes(prefix) : isChosen(prefix, only),
  );
  if (chosen.length === 0) {
    throw new TerminalError('NoBench', `no bench's prefix starts with ${only.join(' or ')}`);
  }
  return chosen;
}

async function readBenches(): Promise<Bench[]> {
  const benches: Bench[] = [];
  for await (const file of glob('e2e/bench/**/*.bench.ts', { cwd: repositoryRoot })) {
    const module = (await import(join(repositoryRoot, file))) as { bench?: Bench };
    if (!module.bench) throw new TerminalError('InvalidBench', `${file} exports no bench`);
    benches.push(module.bench);
  }
  return benches.sort((a, b) => a.prefix.localeCompare(b.prefix));
}

function isChosen(prefix: string, only: readonly string[]): boolean {
  return only.length === 0 || only.some((part) => prefix.startsWith(part));
}

/** Starts what any of the benches needs; a region listens where phones can reach it, if there are some. */
async function startNeeds(
  needs: ReadonlySet<BenchNeed>,
  context: CommandContext,
): Promise<Omit<BenchContext, 'dir'>> {
  const { progress, signal, cleanup } = context;
  const bed = { progress, signal };
  if (needs.size === 0) return bed;
  const tools = [...controlPlaneTools, ...(needs.has('phones') ? phoneTools : [])];
  await ensureTools(progress, tools);
  const dir = await temporaryFolder(context, 'bench-bed');
  if (needs.has('phones') && !isRoot()) {
    throw new TerminalError(
      'NotRoot',
      'benches that need phones want root; choose others by --only',
    );
  }
  const phones = needs.has('phones')
    ? await phonesOf(context, { count: 3, prefix: 'bphone', net: '10.79.4' })
    : undefined;
  const controlPlane = await controlPlaneOf(context, dir);
  const region = needs.has('region')
    ? await startRegion({
        ...{ controlPlane, dir: join(dir, 'region'), progress },
        ...(phones && { host: phones.hostIp }),
      })
    : undefined;
  cleanup.defer(async () => region?.stop());
  return {
    ...bed,
    kubeconfig: controlPlane.kubeconfig,
    controlPlane,
    ...(phones && { phones }),
    ...(region && { region }),
  };
}

function tableOf(rows: readonly Figure[]): string {
  const head = ['figure', 'measured', 'unit', 'target', 'peer'];
  const cells = rows.map(({ key, value, unit = '', target = '', peer = '' }) => [
    key,
    shown(value),
    unit,
    target,
    peer,
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 1 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join(
    '\n',
  );
}
