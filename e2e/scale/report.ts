/** What a run says: a table of figures, a table of costs, and charts of the whole run. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadavg } from 'node:os';
import { lineChart } from '../bench/chart.ts';
import type { Phase, RunResult } from './run.ts';

export function figuresTable(phases: readonly Phase[]): string {
  const rows = phases.flatMap(({ name, figures, failure }) => [
    ...Object.entries(figures).map(([figure, value]) => [name, figure, shown(value)]),
    ...(failure === undefined ? [] : [[name, `FAILED: ${failure.slice(0, 120)}`, '']]),
  ]);
  return tableOf(['phase', 'figure', 'value'], rows);
}

export function costTable(phases: readonly Phase[]): string {
  const processes = [...new Set(phases.flatMap(({ cost }) => [...cost.processes.keys()]))];
  const head = ['phase', 'seconds', 'calls', 'operators', 'hubs', 'etcd MiB'];
  const rows = phases.map(({ name, seconds, cost }) => [
    ...[name, seconds.toFixed(1), shown(cost.requests), shown(cost.operatorRequests)],
    ...[shown(cost.hubRequests), cost.storeMib.toFixed(1)],
    ...processes.map((process) => {
      const { cpuSeconds = 0, peakMib = 0 } = cost.processes.get(process) ?? {};
      return `${cpuSeconds.toFixed(1)} / ${peakMib.toFixed(0)}`;
    }),
  ]);
  return tableOf([...head, ...processes.map((process) => `${process} s / MiB`)], rows);
}

/** What the API server was asked for most, by phase. */
export function callsText(phases: readonly Phase[]): string {
  const line = ({ name, cost }: Phase): string =>
    `${name}: ${cost.calls.map(([call, count]) => `${count} ${call}`).join(', ')}`;
  return phases.map(line).join('\n');
}

/** Charts and figures as files of a folder. */
export async function writeReport(result: RunResult, folder: string): Promise<void> {
  const { bed, phases, figures } = result;
  const { sampler } = bed;
  await mkdir(folder, { recursive: true });
  const { marks } = sampler;
  const charts = {
    'objects.svg': [sampler.gauges(), { title: 'Instances', unit: 'objects', marks }],
    'memory.svg': [sampler.memory(), { title: 'Memory', unit: 'MiB', marks }],
    'processor.svg': [sampler.processor(), { title: 'Processor', unit: '% of a core', marks }],
  } as const;
  for (const [name, [series, options]] of Object.entries(charts))
    await writeFile(join(folder, name), lineChart(series, { ...options, width: 1_200 }));
  await writeFile(join(folder, 'calls.txt'), callsText(phases) + '\n');
  const load = {
    load: loadavg(),
    seconds: Object.fromEntries(phases.map((one) => [one.name, one.seconds])),
  };
  await writeFile(
    join(folder, 'figures.json'),
    JSON.stringify({ figures, ...load }, undefined, 2) + '\n',
  );
}

const shown = (value: number): string =>
  Number(value.toPrecision(4)).toLocaleString('en', { maximumFractionDigits: 3 });

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
