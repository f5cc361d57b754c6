/** What a soak says: a table of slopes, a picture with a panel for each figure, and all of it as JSON. */
import { loadavg } from 'node:os';
import { lineChart, stackCharts } from '../bench/chart.ts';
import type { SoakResult } from './run.ts';
import type { Verdict } from './verdict.ts';

export function slopesTable(verdicts: readonly Verdict[]): string {
  const head = ['of', 'figure', 'level', 'growth an hour', '95% interval', 'bound', ''];
  const rows = verdicts.map(({ of, figure, unit, slope, bound, isWell }) => [
    ...[of, unit === '' ? figure : `${figure} (${unit})`],
    ...(slope
      ? [shown(slope.level), shown(slope.perHour), `${shown(slope.low)} to ${shown(slope.high)}`]
      : ['too few samples', '', '']),
    ...[shown(bound), isWell ? '' : slope ? 'GROWS' : 'NOT KNOWN'],
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

const panels = [
  { figures: ['heap'], title: 'Heap after a full collection', unit: 'MiB' },
  { figures: ['rss'], title: 'Resident memory', unit: 'MiB' },
  { figures: ['descriptors'], title: 'File descriptors', unit: 'count' },
  { figures: ['sockets'], title: 'Sockets', unit: 'count' },
  { figures: ['links'], title: 'Links of the hub', unit: 'count' },
  { figures: ['timers', 'handles'], title: 'Timers and handles of the event loop', unit: 'count' },
  { figures: ['used', 'file'], title: "The API's store", unit: 'MiB' },
  { figures: ['objects'], title: 'Objects in the store', unit: 'count' },
] as const;

export function picture({ series, marks }: SoakResult): string {
  const charts = panels.map(({ figures, title, unit }) => {
    const chosen = series.filter(({ figure }) => (figures as readonly string[]).includes(figure));
    const named = chosen.map(({ of, figure, points }) => ({
      name: figures.length > 1 ? `${of} ${figure}` : of,
      points,
    }));
    return lineChart(named, { title, unit, marks, width: panelWidth, height: panelHeight });
  });
  return stackCharts(charts, { width: panelWidth, height: panelHeight });
}

const panelWidth = 1_000;
const panelHeight = 260;

export function resultJson(result: SoakResult): string {
  const { faults, missed, restarts, ...rest } = result;
  const asObject = (map: ReadonlyMap<string, number>) => Object.fromEntries([...map].sort());
  const all = {
    ...rest,
    faults: asObject(faults),
    missed: asObject(missed),
    restarts: asObject(restarts),
    load: loadavg(),
  };
  return `${JSON.stringify(all, undefined, 1)}\n`;
}

const shown = (value: number): string => {
  const rounded = Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
  return rounded.replace(/^-(0(\.0+)?)$/, '$1');
};
