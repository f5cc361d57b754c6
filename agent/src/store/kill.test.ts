/** The store against the real disk and a process that is killed in the middle of its writes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '@cloudlet/runtime/base';
import { seededRandom } from '@cloudlet/drivers/fake';
import { aFolder } from '../testing/builders.ts';
import { systemDisk } from './disk.ts';
import { Documents } from './documents.ts';

const program = fileURLToPath(new URL('../testing/kill-writer.ts', import.meta.url));
/** Every kill stops as many writers, each somewhere else in its write. */
const writers = 25;
const kills = 8;

/** Starts the writers, kills them after `lines` acknowledgements and a bit, and gives the last of each. */
async function killedWriters(folder: string, lines: number, spins: number): Promise<number[]> {
  const args = [program, folder, String(writers)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const told = new Array<number>(writers).fill(0);
  let seen = 0;
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const whole = (rest + chunk).split('\n');
    rest = whole.pop() ?? '';
    for (const line of whole) {
      const [writer = 0, number = 0] = line.split(' ').map(Number);
      told[writer] = number;
    }
    seen += whole.length;
    if (seen < lines || child.killed) return;
    for (let spin = 0; spin < spins; spin++) Math.sqrt(spin); // a part of a write's time
    child.kill('SIGKILL');
  });
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', 'the writers ran until they were killed');
  return told;
}

async function numberIn(folder: string): Promise<number> {
  let found = 0;
  const documents = new Documents(folder, systemDisk, silentLogger);
  await documents.open((_, text) => void (found = Number(text.trim())));
  assert.ok(documents.intact, `${folder} is whole`);
  return found;
}

test('killed in 200 writes, the store never loses an acknowledged state', async (t) => {
  const folder = await aFolder(t);
  const random = seededRandom(7);
  const last = new Array<number>(writers).fill(0);
  for (let kill = 0; kill < kills; kill++) {
    const lines = writers + Math.floor(random() * 3 * writers);
    const told = await killedWriters(folder, lines, Math.floor(random() * 2_000_000));
    for (const [writer, number] of told.entries()) {
      const found = await numberIn(join(folder, String(writer)));
      const acknowledged = Math.max(number, last[writer] ?? 0);
      assert.ok(found >= acknowledged, `found ${found}, but ${acknowledged} was acknowledged`);
      last[writer] = found;
    }
  }
  const writes = last.reduce((sum, number) => sum + number, 0);
  assert.ok(writes >= kills * writers, `${writes} writes`);
});
