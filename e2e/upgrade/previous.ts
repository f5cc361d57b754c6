/**
 * The version before this one, as somebody has it who is about to upgrade: chart, images and agent, made by
 * its own code from this repository's history.
 *
 * Guarantees: made in a folder aside by that commit's own `npm run images` with that commit's packages, and
 * kept in the cache; neither this tree nor its repository is changed; where the history lacks it, the error
 * says how to get it. Without a release the version before is the first whose charts Helm installed.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { ownArchitecture } from '../images/oci.ts';
import { cacheDir, type Progress, repositoryRoot } from '../testbed/index.ts';

export interface Previous {
  /** As it was asked for or found: a tag, or how it was found. */
  readonly name: string;
  readonly commit: string;
  /** In its package.json. */
  readonly version: string;
  /** Folder of the region's chart. */
  readonly chart: string;
  /** Archive of the region's image. */
  readonly image: string;
  /** The agent's program. */
  readonly agent: string;
}

/** The file that came with the first chart that Helm installed on a real API server. */
const firstInstalled = 'e2e/scenarios/delivery-charts.test.ts';
const makingMs = 20 * 60_000;

interface Found {
  readonly name: string;
  readonly commit: string;
}

/**
 * @param from a commit, tag or branch. Default: the newest tag `v*` before this commit, else the first version
 * that could be installed.
 * @throws TerminalError (`NoPrevious`) where the history has none.
 */
export async function previousVersion(
  from: string | undefined,
  progress: Progress,
  signal: AbortSignal,
): Promise<Previous> {
  const found = await findPrevious(from);
  const folder = cacheDir('previous', found.commit.slice(0, 12));
  if (!existsSync(folder)) {
    progress(`making the version before: ${found.name}, commit ${found.commit.slice(0, 12)}`);
    await make(found.commit, folder, progress, signal);
  }
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    version: string;
  };
  return {
    ...{ ...found, version },
    chart: join(folder, 'charts', 'cloudlet-operator'),
    image: join(folder, 'images', `cloudlet-operator-${version}.tar`),
    agent: join(folder, 'agent', 'agent.mjs'),
  };
}

const git = async (...args: string[]): Promise<string> => {
  // The tree may be another user's, as when this acts as root for phones.
  const trusted = ['-c', `safe.directory=${repositoryRoot.replace(/\/$/, '')}`];
  return (await runCommand('git', [...trusted, ...args], { cwd: repositoryRoot })).stdout.trim();
};

async function findPrevious(from: string | undefined): Promise<Found> {
  const isThere = await git('rev-parse', '--git-dir').then(
    () => true,
    () => false,
  );
  if (!isThere) {
    throw new TerminalError(
      'NoPrevious',
      'the version before comes from the history, and this folder is no clone: clone the repository',
    );
  }
  if (from !== undefined) return { name: from, commit: await commitOf(from) };
  const tag = await git('describe', '--tags', '--match', 'v*', '--abbrev=0', 'HEAD^').catch(
    () => '', // no release yet
  );
  if (tag !== '') return { name: tag, commit: await commitOf(tag) };
  const log = ['log', '--diff-filter=A', '--format=%H', 'HEAD', '--', firstInstalled];
  const commit = (await git(...log)).split('\n').at(-1) ?? '';
  if (commit === '' || (await isShallow())) throw nothingBefore(await isShallow());
  return { name: 'the first that Helm installed, for there is no release', commit };
}

async function commitOf(name: string): Promise<string> {
  try {
    return await git('rev-parse', '--verify', '--quiet', `${name}^{commit}`);
  } catch {
    const remedy = (await isShallow()) ? 'git fetch --unshallow --tags' : 'git fetch --tags';
    throw new TerminalError('NoPrevious', `there is no ${name} in this clone: ${remedy}`);
  }
}

const isShallow = async (): Promise<boolean> =>
  (await git('rev-parse', '--is-shallow-repository')) === 'true';

function nothingBefore(shallow: boolean): TerminalError {
  const message = shallow
    ? 'this clone is shallow, and nothing before is in it: git fetch --unshallow --tags'
    : 'there is neither a tag v* nor a first chart in the history: name a commit by --from';
  return new TerminalError('NoPrevious', message);
}

/** Lays the commit out aside, and keeps what it makes. */
async function make(
  commit: string,
  folder: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const aside = await mkdtemp(join(tmpdir(), 'cloudlet-previous-'));
  try {
    const tree = join(aside, 'tree');
    mkdirSync(tree);
    await git('archive', '--format=tar', '--output', join(aside, 'tree.tar'), commit);
    await runCommand('tar', ['-xf', join(aside, 'tree.tar'), '-C', tree]);
    progress('its packages and images, as its own npm run images makes them');
    const images = ['e2e/run/bootstrap.mjs', 'images', '--only', ownArchitecture];
    const options = { cwd: tree, timeoutMs: makingMs, signal };
    await runCommand(process.execPath, images, options);
    const kept = `${folder}.new`;
    rmSync(kept, { recursive: true, force: true });
    mkdirSync(kept, { recursive: true });
    for (const [source, target] of [
      ['package.json', 'package.json'],
      ['charts', 'charts'],
      ['dist/images', 'images'],
      ['dist/agent', 'agent'],
    ] as const)
      cpSync(join(tree, source), join(kept, target), { recursive: true });
    mkdirSync(dirname(folder), { recursive: true });
    renameSync(kept, folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}
