/**
 * The compose files that both `docker stack deploy` and we are given, with the world that they are read in:
 * the same variables and files for both.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const testdata = import.meta.dirname;

/** What stands for the folder of the compose file in recorded answers. */
export const corpusDir = '/corpus';
export const corpusStack = 'st';

export const corpusEnv: Readonly<Record<string, string>> = {
  HOME: '/home/cloudlet',
  SHOP_TAG: '1.4',
  SHOP_SIGNAL: 'SIGTERM',
  SHOP_REPLICAS: '3',
  SHOP_READONLY: 'yes',
  SHOP_PORT: '8088',
  EMPTY: '',
};

export interface CorpusFile {
  readonly name: string;
  readonly path: string;
  readonly text: string;
  /** Of refused ones: paths that the error names. */
  readonly expected: readonly string[];
}

export function corpus(folder: 'corpus' | 'refused'): readonly CorpusFile[] {
  const directory = join(testdata, folder);
  return readdirSync(directory)
    .filter((name) => name.endsWith('.yml'))
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const text = readFileSync(path, 'utf8');
      const expected = /^# expect:(.*)$/m.exec(text)?.[1]?.split(' ').filter(Boolean) ?? [];
      return { name, path, text, expected };
    });
}

/** Files that the compose files of the corpus name. */
export function corpusFiles(): ReadonlyMap<string, Uint8Array> {
  const directory = join(testdata, 'corpus', 'files');
  return new Map(
    readdirSync(directory).map((name) => [
      `files/${name}`,
      new Uint8Array(readFileSync(join(directory, name))),
    ]),
  );
}

/** What the command-line tool sent to the engine, and said, for a file of the corpus. */
export interface Recorded {
  readonly services: readonly { readonly Name: string }[];
  readonly networks: readonly { readonly Name: string }[];
  readonly configs: readonly { readonly Name: string }[];
  readonly secrets: readonly { readonly Name: string }[];
  readonly code: number;
  readonly output: string;
}

export function recorded(folder: 'corpus' | 'refused', name: string): Recorded {
  const path = join(testdata, 'cli', folder, name.replace(/\.yml$/, '.json'));
  return JSON.parse(readFileSync(path, 'utf8')) as Recorded;
}

/** Version of the tool whose answers are recorded. */
export function recordedVersion(): string {
  return JSON.parse(readFileSync(join(testdata, 'cli', 'version.json'), 'utf8')) as string;
}
