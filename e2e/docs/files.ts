/** The files that a page gives to its commands by `file=NAME`, in a folder of their own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Document } from './markdown.ts';

export interface PageFiles extends AsyncDisposable {
  /** Absolute paths by the names that the page uses. */
  readonly paths: ReadonlyMap<string, string>;
}

export async function filesOf(page: Document): Promise<PageFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'docs-'));
  const paths = new Map<string, string>();
  for (const { settings, text } of page.blocks) {
    if (!settings['file']) continue;
    const path = join(folder, settings['file']);
    await writeFile(path, text);
    paths.set(settings['file'], path);
  }
  return { paths, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}
