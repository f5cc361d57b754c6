/**
 * A child process that a test kills: in the folder of its first argument as many writers as the
 * second says count up, each in a document of its own, and say on standard output what is acknowledged.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemDisk } from '../store/disk.ts';
import { Documents } from '../store/documents.ts';

const quiet = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  log() {},
  with() {
    return quiet;
  },
};
/** Writes ever higher numbers, from the one that is there. */
async function count(folder: string, name: string): Promise<never> {
  const documents = new Documents(folder, systemDisk, quiet);
  let number = 0;
  await documents.open((_, text) => {
    number = Number(text.trim());
  });
  for (;;) {
    number++;
    await documents.write('count', `${String(number)}${' '.repeat(10_000)}`);
    writeSync(1, `${name} ${number}\n`);
  }
}

const [folder = '', writers = '1'] = process.argv.slice(2);
await Promise.all(
  Array.from({ length: Number(writers) }, (_, name) =>
    count(join(folder, String(name)), String(name)),
  ),
);
