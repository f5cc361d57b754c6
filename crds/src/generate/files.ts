/**
 * Writes what is generated, or says what of it is stale: the same for every room that generates files.
 *
 * Guarantees: paths are of the repository's root; a file that is as it should be is not touched; in a folder
 * that belongs to the generator alone, what it does not make goes.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../', import.meta.url);

export interface Generated {
  /** Contents by path. */
  readonly files: ReadonlyMap<string, string>;
  /** A folder in which there is nothing else. */
  readonly folder?: string;
}

/** Paths whose content on disk is not what would be generated. */
export async function staleOf({ files, folder }: Generated): Promise<readonly string[]> {
  const stale: string[] = [];
  for (const [path, content] of files) {
    const present = await readFile(new URL(path, root), 'utf8').catch(() => undefined);
    if (present !== content) stale.push(path);
  }
  if (folder === undefined) return stale;
  const there = await readdir(new URL(folder, root)).catch(() => []);
  return [...stale, ...there.map((name) => `${folder}/${name}`).filter((path) => !files.has(path))];
}

/** The program of a generator: with `--check` it changes nothing and fails where something is stale. */
export async function writeGenerated(
  generated: Generated,
  args: readonly string[] = process.argv,
): Promise<void> {
  const stale = await staleOf(generated);
  if (args.includes('--check')) {
    if (stale.length === 0) return;
    process.stderr.write(`stale: ${stale.join(', ')}; run npm run generate\n`);
    process.exitCode = 1;
    return;
  }
  for (const path of stale) {
    const url = new URL(path, root);
    const content = generated.files.get(path);
    if (content === undefined) {
      await rm(url);
      process.stdout.write(`removed ${path}\n`);
      continue;
    }
    await mkdir(dirname(fileURLToPath(url)), { recursive: true });
    await writeFile(url, content);
    process.stdout.write(`wrote ${path}\n`);
  }
}
