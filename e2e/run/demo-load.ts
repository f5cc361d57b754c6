/**
 * `npm run demo:load -- --url URL`: customers for the coffee shop, by locust (PyPI) in a virtual environment
 * of its own in the cache. Prints rate, percentiles and failures, writes a chart and locust's own report.
 */
import { createReadStream } from 'node:fs';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { helpOf, parseFlags, policyOf, runCommand, TerminalError } from '@cloudlet/runtime/base';
import { lineChart, type Series } from '../bench/chart.ts';
import { cacheDir } from '../testbed/host.ts';
import { createProgress } from '../testbed/progress.ts';

const locustVersion = '2.47.0';

const flags = {
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
  help: { type: 'boolean', description: 'This text.' },
} as const;

interface LoadResult {
  readonly requests: number;
  readonly failures: number;
}

export async function runLoad(options: {
  readonly url: string;
  readonly users: number;
  readonly seconds: number;
  readonly out: string;
  readonly progress: (message: string) => void;
}): Promise<LoadResult> {
  const { url, users, seconds, out, progress } = options;
  const locust = await installLocust(progress);
  await mkdir(out, { recursive: true });
  const csv = join(out, 'locust');
  progress(`${users} customers for ${seconds} s at ${url}`);
  await runCommand(
    locust,
    [
      ...[
        '--headless',
        '--locustfile',
        fileURLToPath(new URL('../demo/locustfile.py', import.meta.url)),
      ],
      ...['--host', url, '--users', String(users), '--spawn-rate', String(Math.max(1, users / 5))],
      ...[
        '--run-time',
        `${seconds}s`,
        '--csv',
        csv,
        '--csv-full-history',
        '--html',
        join(out, 'report.html'),
      ],
      ...['--only-summary', '--loglevel', 'WARNING', '--exit-code-on-error', '0'],
    ],
    { timeoutMs: (seconds + 120) * 1000 },
  );
  await writeFile(join(out, 'load.svg'), await chartOf(`${csv}_stats_history.csv`));
  return printSummary(`${csv}_stats.csv`);
}

async function installLocust(progress: (message: string) => void): Promise<string> {
  const folder = cacheDir('python', `locust-${locustVersion}`);
  const complete = join(folder, 'complete');
  const locust = join(folder, 'bin', 'locust');
  if (await exists(complete)) return locust;
  progress(`installing locust ${locustVersion} from PyPI into ${folder}`);
  const make = ['-m', 'venv', '--clear', folder];
  await runCommand('python3', make, { timeoutMs: 120_000 }).catch((cause: unknown) => {
    const advice = 'missing python3 with venv: apt-get install python3-venv';
    throw new TerminalError('MissingTool', advice, { cause });
  });
  await runCommand(join(folder, 'bin', 'pip'), ['install', '--quiet', `locust==${locustVersion}`], {
    timeoutMs: 600_000,
  });
  await writeFile(complete, '');
  return locust;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

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

async function printSummary(path: string): Promise<LoadResult> {
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
  const total = rows.find((row) => cell(row, 'Name') === 'Aggregated') ?? '';
  return {
    requests: Number(cell(total, 'Request Count')),
    failures: Number(cell(total, 'Failure Count')),
  };
}

async function main(): Promise<void> {
  const { flags: given } = parseFlags(flags, process.argv.slice(2));
  await runLoad({ ...given, progress: createProgress() });
  process.stdout.write(
    `chart: ${join(given.out, 'load.svg')}; report: ${join(given.out, 'report.html')}\n`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--help'))
    process.stdout.write(
      helpOf('npm run demo:load -- --url URL [flags]', 'Customers for the coffee shop.', flags),
    );
  else
    await main().catch((error: unknown) => {
      process.stderr.write(`demo:load: ${(error as Error).message}\n`);
      process.exitCode =
        error instanceof TerminalError || policyOf(error).retry === 'never' ? 2 : 1;
    });
}
