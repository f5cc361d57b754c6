/** The charts of the last run of the scale bench, put beside a page of figures. */
import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Picture } from './markdown.ts';

const titles = {
  objects: 'Instances by their state',
  memory: 'Memory of each part',
  processor: 'Processor time of each part',
} as const;

/**
 * @param from folder of the charts, `objects.svg` and such; what is not there leaves the picture beside the page.
 * @returns those that the page can show, by paths from it.
 */
export async function picturesBeside(page: string, from: string): Promise<readonly Picture[]> {
  const folder = join(dirname(page), 'img');
  const shown: Picture[] = [];
  for (const [name, title] of Object.entries(titles)) {
    const [source, target] = [join(from, `${name}.svg`), join(folder, `scale-${name}.svg`)];
    if (existsSync(source)) {
      await mkdir(folder, { recursive: true });
      await copyFile(source, target);
    }
    if (existsSync(target)) shown.push({ title, file: `img/scale-${name}.svg` });
  }
  return shown;
}
