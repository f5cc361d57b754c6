/**
 * The programs that documents may call, and how each is asked whether a command is right without carrying it out:
 * by its own parser of flags where it is ours or built here, by the files that it names otherwise.
 *
 * Guarantees: nothing is started but with `--help`, or without a cluster to reach; every sentence names what is
 * wrong with the command. A program that is not listed is a mistake: somebody has to say what to do with it.
 */
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { commands as pluginCommands, runCli } from '@cloudlet/cli';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import { packaged } from '../images/agent-archive.ts';
import { imagesFile, imagesFolder, products } from '../images/product.ts';
import { ensureControlPlaneBinaries, repositoryRoot } from '../testbed/index.ts';
import { helmOf } from '../testbed/helm/helm.ts';
import { isInTree } from './tree.ts';

export interface Call {
  /** Program and arguments. */
  readonly words: readonly string[];
  /** Document that names it, from the repository's root. */
  readonly file: string;
  /** Files that the page gives by `file=`, or that a command before made, by their names. */
  readonly given?: ReadonlyMap<string, string>;
}

type Check = (call: Call) => Promise<readonly string[]> | readonly string[];

/** Programs that neither this repository nor its test bed makes: only the files they name are looked at. */
const foreign = [
  ...['cd', 'export', 'grep', 'rm', 'tail', 'tar'],
  ...['adduser', 'install', 'journalctl', 'rc-service', 'rc-update', 'sudo', 'systemctl'],
  ...['argocd', 'docker', 'git', 'kind', 'node', 'openssl'],
];

const programs: Readonly<Record<string, Check>> = {
  ...Object.fromEntries(foreign.map((name) => [name, () => []])),
  npm: npmMistakes,
  kubectl: (call) => (call.words[1] === 'cloudlet' ? pluginMistakes(call) : kubectlMistakes(call)),
  helm: helmMistakes,
  'cloudlet-agent': agentMistakes,
};

export const isKnown = (program: string): boolean => Object.hasOwn(programs, program);

/** What is wrong with a command, a sentence each. */
export async function mistakesOf(call: Call): Promise<readonly string[]> {
  const [program = ''] = call.words;
  const check = Object.hasOwn(programs, program) ? programs[program] : undefined;
  if (!check) return [`nobody says what to do with '${program}': name it in e2e/docs/programs.ts`];
  return [...pathMistakes(call), ...(await check(call))];
}

/** Words in capitals stand for something of the reader's: a number serves for every type of flag. */
const filled = (words: readonly string[]): readonly string[] =>
  words.map((word) => word.replaceAll(/(?<![\w-])[A-Z][A-Z-]*(?![\w-])/g, '1'));

/** What stands before `--`, behind which flags are another program's. */
function own(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--');
  return end < 0 ? words : words.slice(0, end);
}

/** Asks a program whether it takes these words; its first line where it does not. */
async function refusalOf(command: string, words: readonly string[]): Promise<readonly string[]> {
  try {
    await runCommand(command, [...words, '--help'], {
      env: { KUBECONFIG: '/dev/null' },
      cwd: repositoryRoot,
    });
    return [];
  } catch (error) {
    return [describeError(error)];
  }
}

const packageScripts = (
  JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
    scripts: Readonly<Record<string, string>>;
  }
).scripts;

/** npm's own commands that documents name. */
const npmCommands = ['audit', 'ci', 'config', 'install'];

async function npmMistakes({ words }: Call): Promise<readonly string[]> {
  const [, verb = '', ...rest] = words;
  if (npmCommands.includes(verb)) return [];
  const [name = '', ...behind] = verb === 'run' ? rest : [verb, ...rest];
  const script = packageScripts[name];
  if (script === undefined) return [`package.json has no script '${name}'`];
  if (behind.length === 0) return [];
  if (behind[0] !== '--') return [`npm keeps '${behind.join(' ')}' for itself: put -- before it`];
  const [, command] = /^node e2e\/run\/bootstrap\.mjs (\S+)$/.exec(script) ?? [];
  if (command === 'test') return testMistakes(behind.slice(1));
  if (command === undefined) return [`'${script}' takes no arguments`];
  return refusalOf(process.execPath, [`e2e/run/${command}.ts`, ...filled(behind.slice(1))]);
}

/** Each argument of `npm test` is a part of the path of some test. */
function testMistakes(parts: readonly string[]): readonly string[] {
  const files = globSync(
    '{crds,runtime,tunnel,drivers,operator,agent,cli,charts,e2e}/**/*.test.ts',
    {
      cwd: repositoryRoot,
      exclude: ['**/node_modules/**', 'e2e/kind/stories/**'],
    },
  );
  return parts
    .filter((part) => !files.some((file) => file.includes(part)))
    .map((part) => `no test has '${part}' in its path`);
}

async function kubectlMistakes({ words, file }: Call): Promise<readonly string[]> {
  const { kubectl } = await ensureControlPlaneBinaries();
  return [...(await refusalOf(kubectl, own(words.slice(1)))), ...folderMistakes(words, file)];
}

/** A folder given to `-f` holds manifests itself, one given to `-k` a kustomization. */
function folderMistakes(words: readonly string[], file: string): readonly string[] {
  return words.flatMap((flag, index) => {
    const folder = placeOf(words[index + 1] ?? '', file);
    if (!/^-[fk]$/.test(flag) || folder === undefined || !statSync(folder).isDirectory()) return [];
    const names = readdirSync(folder);
    const isRight =
      flag === '-k'
        ? names.includes('kustomization.yaml')
        : names.some((name) => /\.(ya?ml|json)$/.test(name));
    return isRight ? [] : [`${words[index + 1]} holds nothing for ${flag}`];
  });
}

/** By the plugin itself, which reaches no region: exit code 2 says that it was called wrongly. */
async function pluginMistakes({ words }: Call): Promise<readonly string[]> {
  const [, , name, ...rest] = words;
  if (name === undefined || name === '--help') return [];
  if (!pluginCommands.some((command) => command.name === name))
    return [`the plugin has no command '${name}'`];
  if (rest.length === 0) return []; // the name of a command, not a call
  const none = ['--kubeconfig', '/dev/null/none'];
  const before = own(rest);
  const argv = [name, ...none, ...before, ...rest.slice(before.length)];
  const stderr = new PassThrough();
  const stream = () => new PassThrough();
  const code = await runCli(argv, {
    terminal: {
      ...{ stdin: Object.assign(stream(), {}).end(), stdout: stream(), stderr },
      ...{ isInteractive: false, setRaw: () => undefined, size: () => undefined },
      onResize: () => () => undefined,
    },
    signal: AbortSignal.timeout(30_000),
    version: '0',
  });
  return code === 2 ? [String(stderr.read()).split('\n')[0] ?? ''] : [];
}

/** Flags by helm's own parser; what concerns a chart of ours is rendered, so its schema sees every value. */
async function helmMistakes({ words, file, given }: Call): Promise<readonly string[]> {
  const [, verb = '', ...rest] = words;
  if (rest.length === 0) return [];
  const helm = await helmOf();
  const said = await helm([verb, ...rest, '--help']).catch(describeError);
  if (/unknown (shorthand )?flag|unknown command/.test(said)) return [said];
  const chart = rest.findIndex((word) => word.startsWith('charts/'));
  if (!/^(install|upgrade)$/.test(verb) || chart < 0) return [];
  const args = rest
    .filter((word) => word !== '--reuse-values') // of the cluster, which there is none
    .map((word) => given?.get(word) ?? placeOf(word, file) ?? word);
  return helm(['template', ...args]).then(
    () => [],
    (error: unknown) => [describeError(error)],
  );
}

async function agentMistakes({ words }: Call): Promise<readonly string[]> {
  return refusalOf(process.execPath, ['agent/src/main.ts', ...filled(words.slice(1))]);
}

const rooms =
  /^(agent|charts|cli|crds|docs|drivers|e2e|examples|operator|runtime|tunnel)(\/|$)|^kind-config\.yaml$/;
/** Where the agent's archive is unpacked. */
const unpacked = '/opt/cloudlet-agent/';
/** Built, never committed: a clean clone has none of it, so only the names of what is made are right. */
const built = 'dist/';
const made = products.map((product) => `${imagesFolder}/${imagesFile(product)}`);

/** Names of files of the repository, or of the reader's, that a command holds, and that are not there. */
function pathMistakes({ words, file, given }: Call): readonly string[] {
  return own(words)
    .flatMap((word) => [word, ...word.split('=').slice(1)])
    .filter((word) => given?.has(word) !== true && placeOf(word, file) === undefined)
    .flatMap((word) => {
      if (isPath(word, file)) return [`there is no ${word}`];
      return /^[\w-]+\.(ya?ml|json)$/.test(word)
        ? [`no block of the page gives ${word}: write file=${word} behind the fence of one`]
        : [];
    });
}

/** Whether a word is the path of a file that the repository is to have. */
export function isPath(word: string, file: string): boolean {
  if (/[*{}<>$…]|\s|^-/.test(word)) return false;
  if (word.startsWith(unpacked) || word.startsWith(built)) return true;
  const [first = '', ...more] = word.split('/');
  const beside = join(repositoryRoot, dirname(file), first);
  return rooms.test(word) || (more.length > 0 && /^[\w.]+$/.test(first) && existsSync(beside));
}

/** The absolute path of what a word names in the repository: from its root, or from the document's folder. */
export function placeOf(word: string, file: string): string | undefined {
  if (word === '' || word.startsWith('-')) return undefined;
  if (word.startsWith(unpacked)) return sourceOf(word.slice(unpacked.length));
  if (word.startsWith('/')) return undefined;
  if (word.startsWith(built)) return made.includes(word) ? join(repositoryRoot, word) : undefined;
  const found = [word, join(dirname(file), word)].find(isInTree);
  return found && join(repositoryRoot, found);
}

/** The source of a file of the agent's archive. */
function sourceOf(path: string): string | undefined {
  const found = Object.entries(packaged).find(([, { to }]) => to === path);
  return found && join(repositoryRoot, 'agent', 'packaging', found[0]);
}
