/** The text of a file, or of standard input for `-`. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { TerminalError } from '@cloudlet/runtime/base';

/** @throws TerminalError that names the file. */
export async function readText(path: string): Promise<string> {
  if (path === '-') return text(process.stdin);
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TerminalError('NoFile', `cannot read ${path}`, { cause });
  }
}
