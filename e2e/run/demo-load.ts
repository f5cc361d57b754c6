/**
 * `npm run demo:load -- --url URL`: customers for the coffee shop, by locust (PyPI) in a virtual environment
 * of its own in the cache. Prints rate, percentiles and failures, writes a chart and locust's own report.
 */
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { lineChart, type Series } from '../bench/chart.ts';
import { cacheDir, type Progress } from '../testbed/index.ts';
import { runMain } from './steps/main.ts';

const locustVersion = '2.47.0';

const flagTable = {
  url: {
    type: 'string',
    required: true,
    description: "The shop's address, such as the AppInst's status.uri.",
  },
  users: { type: 'number', default: 20, description: 'Customers at once.' },
  seconds: { type: 'number', default: 60, description: 'How long.' },
  out: {
    type: 'string',
    default: 'dist/demo-load',
    description: 'Folder for the chart and the report.',
  },
} as const;

const usage = {
  call: 'npm run demo:load -- --url URL [flags]',
  summary: 'Customers for the coffee shop.',
  flags: flagTable,
};

await runMain(usage, async ({ progress, signal }, { url, users, seconds, out }) => {
  const locust = await installLocust(progress, signal);
  await mkdir(out, { recursive: true });
  progress(`${users} customers for ${seconds} s at ${url}`);
  const [csv, report] = [join(out, 'locust'), join(out, 'report.html')];
  const customers = ['--users', String(users), '--spawn-rate', String(Math.max(1, users / 5))];
  const args = [
    ...['--headless', '--locustfile', join(import.meta.dirname, '../demo/locustfile.py')],
    ...['--host', url, ...customers, '--run-time', `${seconds}s`],
    ...['--csv', csv, '--csv-full-history', '--html', report],
    ...['--only-summary', '--loglevel', 'WARNING', '--exit-code-on-error', '0'],
  ];
  await runCommand(locust, args, { timeoutMs: (seconds + 120) * 1000, signal });
  const chart = join(out, 'load.svg');
  await writeFile(chart, await chartOf(`${csv}_stats_history.csv`));
  await printSummary(`${csv}_stats.csv`);
  console.log(`chart: ${chart}; report: ${report}`);
  return 0;
});

async function installLocust(progress: Progress, signal: AbortSignal): Promise<string> {
  const folder = cacheDir('python', `locust-${locustVersion}`);
  const complete = join(folder, 'complete');
  const locust = join(folder, 'bin', 'locust');
  if (existsSync(complete)) return locust;
  progress(`installing locust ${locustVersion} from PyPI into ${folder}`);
  const make = ['-m', 'venv', '--clear', folder];
  await runCommand('python3', make, { timeoutMs: 120_000, signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    const advice = 'missing python3 with venv: apt-get install python3-venv';
    throw new TerminalError('MissingTool', advice, { cause });
  });
  await runCommand(join(folder, 'bin', 'pip'), ['install', '--quiet', `locust==${locustVersion}`], {
    timeoutMs: 600_000,
    signal,
  });
  await writeFile(complete, '');
  return locust;
}

async function chartOf(path: string): Promise<string> {
  const columns = ['Requests/s', 'Failures/s', '50%', '99%'] as const;
  const series = new Map<string, [number, number][]>(columns.map((name) => [name, []]));
  let header: string[] | undefined;
  let start: number | undefined;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const cells = line.split(',');
    if (!header) {
      header = cells;
      continue;
    }
    if (cells[header.indexOf('Name')] !== 'Aggregated') continue;
    const time = Number(cells[header.indexOf('Timestamp')]);
    start ??= time;
    for (const name of columns) {
      const value = Number(cells[header.indexOf(name)]);
      if (Number.isFinite(value)) series.get(name)?.push([time - start, value]);
    }
  }
  const all: Series[] = columns.map((name) => ({
    name: name.endsWith('%') ? `${name} ms` : name,
    points: series.get(name) ?? [],
  }));
  return lineChart(all, { title: 'The coffee shop under load', unit: 'requests/s and ms' });
}

async function printSummary(path: string): Promise<void> {
  const [header = '', ...rows] = (await readFile(path, 'utf8')).trim().split('\n');
  const names = header.split(',');
  const cell = (row: string, name: string): string => row.split(',')[names.indexOf(name)] ?? '';
  const wanted = [
    'Name',
    'Request Count',
    'Failure Count',
    'Requests/s',
    '50%',
    '95%',
    '99%',
  ] as const;
  for (const row of [header, ...rows])
    process.stdout.write(
      wanted
        .map((name, index) => {
          const value = cell(row, name);
          const shown = name === 'Requests/s' && row !== header ? Number(value).toFixed(1) : value;
          return index === 0 ? shown.padEnd(24) : shown.padStart(15);
        })
        .join('') + '\n',
    );
}
