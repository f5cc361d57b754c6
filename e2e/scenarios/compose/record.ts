/**
 * Records what the installed `docker stack deploy` makes of the corpus, for the unit tests of the conversion:
 * `node e2e/scenarios/compose/record.ts`. Run it after a change of the corpus, and review the difference.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { corpus, testdata } from '../../../drivers/src/compose/testdata/corpus.ts';
import { dockerVersion, record } from './docker-cli.ts';

for (const folder of ['corpus', 'refused'] as const) {
  const directory = join(testdata, 'cli', folder);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  for (const file of corpus(folder)) {
    const answer = await record(file);
    const path = join(directory, file.name.replace(/\.yml$/, '.json'));
    await writeFile(path, `${JSON.stringify(answer, null, 2)}\n`);
  }
}
await writeFile(
  join(testdata, 'cli', 'version.json'),
  `${JSON.stringify(await dockerVersion())}\n`,
);
