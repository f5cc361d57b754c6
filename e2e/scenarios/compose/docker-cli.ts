/** The real `docker stack deploy`, and what it sends for a file of the corpus. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  corpusDir,
  corpusEnv,
  type CorpusFile,
  corpusStack,
  type Recorded,
} from '../../../drivers/src/compose/testdata/corpus.ts';
import { type CreateBody, RecordingEngine } from './recording-engine.ts';

export interface CliResult {
  readonly code: number;
  readonly output: string;
}

/** Runs the tool against the engine at `socket`, with the corpus' variables and no others but PATH. */
export async function docker(socket: string, args: readonly string[]): Promise<CliResult> {
  const env = { ...corpusEnv, PATH: process.env['PATH'] ?? '', DOCKER_CONFIG: '/nonexistent' };
  return new Promise((resolve, reject) => {
    const options = { env, timeout: 30_000, maxBuffer: 16 * 1024 * 1024 };
    execFile('docker', ['-H', `unix://${socket}`, ...args], options, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number')
        reject(new Error('docker did not run', { cause: error }));
      else resolve({ code: error ? Number(error.code) : 0, output: `${stdout}${stderr}` });
    });
  });
}

export async function stackDeploy(
  socket: string,
  file: string,
  stack: string = corpusStack,
): Promise<CliResult> {
  return docker(socket, [
    ...['stack', 'deploy', '--detach', '--resolve-image', 'never', '--compose-file', file, stack],
  ]);
}

/** Version of the tool, such as `28.2.2`. */
export async function dockerVersion(): Promise<string> {
  const { output } = await docker('/nonexistent', ['--version']);
  return /[0-9]+\.[0-9]+\.[0-9]+/.exec(output)?.[0] ?? 'unknown';
}

/** What the tool sends and says for a file, with the file's folder called `/corpus`. */
export async function record(file: CorpusFile): Promise<Recorded> {
  const directory = await mkdtemp(join(tmpdir(), 'compose-'));
  try {
    const socket = join(directory, 'engine.sock');
    await using engine = await RecordingEngine.listen(socket);
    const { code, output } = await stackDeploy(socket, file.path);
    const { services, networks, configs, secrets } = engine.created;
    const sorted = (bodies: readonly CreateBody[]) =>
      [...bodies].sort((a, b) => (a.Name < b.Name ? -1 : 1));
    const said = output
      .split('\n')
      .filter((line) => !/^(Creating|Updating) /.test(line))
      .map((line) => line.replace(/^time="[^"]*" /, ''));
    const all = {
      code,
      output: said.join('\n').trim(),
      networks: sorted(networks),
      configs: sorted(configs),
      secrets: sorted(secrets),
      services: sorted(services),
    };
    const parent = dirname(dirname(file.path));
    const text = JSON.stringify(all, inOrder)
      .replaceAll(dirname(file.path), corpusDir)
      .replaceAll(parent, '');
    return JSON.parse(text) as Recorded;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The tool sends references to one config or secret in any order; here they have that of their targets. */
function inOrder(key: string, value: unknown): unknown {
  if ((key !== 'Configs' && key !== 'Secrets') || !Array.isArray(value)) return value;
  const target = (reference: Reference) =>
    `${reference.ConfigName ?? reference.SecretName}\0${reference.File?.Name ?? ''}`;
  return (value as readonly Reference[]).toSorted((a, b) => (target(a) < target(b) ? -1 : 1));
}

interface Reference {
  readonly ConfigName?: string;
  readonly SecretName?: string;
  readonly File?: { readonly Name: string };
}
