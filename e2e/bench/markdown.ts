/** The figures as a page of the documents: docs/benchmarks.md. */
import { cpus, release, totalmem } from 'node:os';
import type { Target } from './contract.ts';

export interface Figure extends Target {
  readonly key: string;
  readonly value: number;
}

/** What is drawn of a bench, beside the page. */
export interface Picture {
  readonly title: string;
  readonly file: string;
}

const gibibyte = 1024 ** 3;

/** A page with every figure beside its target and its peer; what falls short gives its reason, what is missing is named. */
export function pageOf(
  figures: readonly Figure[],
  date: string,
  targets: Readonly<Record<string, Target>>,
  pictures: readonly Picture[] = [],
): string {
  const rows = figures.map((figure) =>
    [
      `\`${figure.key}\``,
      [shown(figure.value), figure.unit].filter(Boolean).join(' '),
      figure.target ?? '',
      verdict(figure),
      figure.peer ?? '',
    ].join(' | '),
  );
  const short = figures.filter((figure) => isReached(figure) === false);
  const known = new Set(figures.map(({ key }) => key));
  const missing = Object.entries(targets).filter(([key, { target }]) => target && !known.has(key));
  return [
    '# Benchmarks',
    '',
    `Measured on ${date} by \`npm run bench\`, on ${machine()}. Ratios compare in one run; peers' figures are their own, of their own machines. Written by \`npm run bench -- --json FILE --keep --markdown docs/benchmarks.md\`: what the last run did not measure is of one before, which may have been on another machine.`,
    '',
    '| figure | measured | target | reached | peer |',
    '| --- | --: | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
    ...(short.length > 0 ? ['## What falls short', ''] : []),
    ...short.map(({ key, short: why }) => `- \`${key}\`: ${why ?? 'not explained yet.'}`),
    '',
    ...(missing.length > 0 ? ['## What was not measured', ''] : []),
    ...missing.map(
      ([key, { target, unit }]) => `- \`${key}\` (${[target, unit].filter(Boolean).join(' ')})`,
    ),
    '',
    ...(pictures.length > 0 ? ['## How the run of many sites went', ''] : []),
    ...pictures.flatMap(({ title, file }) => [`![${title}](${file})`, '']),
  ].join('\n');
}

/** Undefined where there is no target. @throws RangeError when a target is not such as '<= 5'. */
export function isReached({ value, target }: Figure): boolean | undefined {
  if (target === undefined) return undefined;
  const match = /^(<=|>=) ([\d.]+)$/.exec(target);
  if (!match) throw new RangeError(`target '${target}' is not such as '<= 5'`);
  const bound = Number(match[2]);
  return match[1] === '<=' ? value <= bound : value >= bound;
}

export function shown(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString('en', { maximumFractionDigits: 3 });
}

function verdict(figure: Figure): string {
  const reached = isReached(figure);
  return reached === undefined ? '' : reached ? 'yes' : '**no**';
}

function machine(): string {
  const all = cpus();
  const model = all[0]?.model.trim() ?? 'unknown';
  return `${all.length} × ${model}, ${Math.round(totalmem() / gibibyte)} GiB, Linux ${release()}, Node ${process.versions.node}`;
}
