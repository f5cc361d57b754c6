/** support-bundle: everything that a helper needs to see of a region, without what he must not. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { TerminalError } from '@cloudlet/runtime/base';
import type { Command } from '../command.ts';
import { type BundleFile, collectBundle } from '../support/collect.ts';
import { viewed } from './doctor.ts';

export const supportBundleCommand: Command = {
  name: 'support-bundle',
  usage: 'support-bundle [-o FILE.tar.gz]',
  summary: 'Write what a helper needs to see of the region into one archive, without secrets.',
  flags: {
    output: {
      type: 'string',
      description: 'The archive (-o); - is standard output. Default: cloudlet-support-TIME.tar.gz.',
    },
  },
  shorts: { o: 'output' },
  examples: ['support-bundle', 'support-bundle -o /tmp/region.tar.gz'],
  async run(context) {
    const { flags, terminal, clock, signal, version } = context;
    const { client, namespace } = context.region();
    const view = await viewed(context);
    const files = await collectBundle({ client, view, namespace, signal, pluginVersion: version });
    const time = new Date(clock.now()).toISOString().replace(/\..*/, '').replaceAll(':', '-');
    const folder = `cloudlet-support-${time}`;
    const path = (flags['output'] as string | undefined) ?? `${folder}.tar.gz`;
    const target = path === '-' ? terminal.stdout : await createdFile(path);
    await writeArchive(folder, files, clock.now(), target, path !== '-');
    terminal.stderr.write(
      `${path === '-' ? 'standard output' : path}: ${files.length} files. Look through it before you hand it on.\n`,
    );
    return 0;
  },
};

/** For its owner alone; an archive that is there is not written over. */
function createdFile(path: string): Promise<Writable> {
  return new Promise((resolve, reject) => {
    const stream = createWriteStream(path, { flags: 'wx', mode: 0o600 });
    stream.once('open', () => resolve(stream));
    stream.once('error', (cause) =>
      reject(new TerminalError('NoFile', `cannot write ${path}`, { cause })),
    );
  });
}

async function writeArchive(
  folder: string,
  files: readonly BundleFile[],
  now: number,
  target: Writable,
  isOwn: boolean,
): Promise<void> {
  const { pack } = await import('tar-stream'); // no other command needs it
  const archive = pack();
  const writing = pipeline(archive, createGzip(), target, { end: isOwn });
  for (const { path, text } of files)
    archive.entry({ name: `${folder}/${path}`, mode: 0o600, mtime: new Date(now) }, text);
  archive.finalize();
  await writing;
}
