/** convert: an App and an AppInst from a compose file. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { appFromCompose, ComposeError, composeFiles } from '@cloudlet/drivers/compose';
import { TerminalError } from '@cloudlet/runtime/base';
import { stringify } from 'yaml';
import { onlyOne } from '../arguments.ts';
import type { Command } from '../command.ts';
import { readText } from '../read-text.ts';

export const convertCommand: Command = {
  name: 'convert',
  usage: 'convert COMPOSE-FILE [--name NAME] [--zone ZONE | --cloudlet CLOUDLET]',
  summary: 'Turn a compose file into an App and an AppInst; print them as YAML.',
  flags: {
    name: { type: 'string', description: "Name of both. Default: the file's folder." },
    version: { type: 'string', description: 'Version of the App.', default: '1' },
    zone: { type: 'string', description: 'Zone to run in.' },
    cloudlet: { type: 'string', description: 'Site to run at.' },
  },
  examples: ['convert docker-compose.yml --name shop --zone berlin | kubectl apply -f -'],
  async run({ positionals, flags, terminal }) {
    const path = onlyOne(positionals, 'a compose file');
    if (flags['zone'] && flags['cloudlet'])
      throw new TerminalError('InvalidFlags', 'one of --zone and --cloudlet is wanted, not both');
    const name = String(flags['name'] ?? nameOf(path));
    try {
      const text = await readText(path);
      const env = process.env as Readonly<Record<string, string>>;
      const made = appFromCompose(text, {
        name,
        version: String(flags['version']),
        env,
        files: await readFiles(composeFiles(text, env), dirname(path)),
        ...(flags['namespace'] ? { namespace: String(flags['namespace']) } : {}),
        ...(flags['zone'] ? { zone: String(flags['zone']) } : {}),
        ...(flags['cloudlet'] ? { cloudlet: String(flags['cloudlet']) } : {}),
      });
      terminal.stdout.write(`${stringify(made.app)}---\n${stringify(made.appInst)}`);
      for (const note of made.notes) terminal.stderr.write(`note: ${note}\n`);
      return 0;
    } catch (error) {
      if (!(error instanceof ComposeError)) throw error;
      throw new TerminalError('InvalidCompose', `${path}: ${error.message}`, { cause: error });
    }
  },
};

/** A DNS label from the folder that the file is in, as compose names a project. */
export function nameOf(path: string): string {
  const name = basename(dirname(resolve(path)))
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40);
  return name || 'app';
}

/** Files that are there; the conversion says which one it misses. */
async function readFiles(
  paths: readonly string[],
  folder: string,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const path of paths) {
    const content = await readFile(resolve(folder, path)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'EISDIR') return undefined;
      throw error;
    });
    if (content) files.set(path, content);
  }
  return files;
}
