import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Leadership } from './leadership.ts';

test('who led last is remembered over a restart; what cannot be kept is tried again, and fails nobody', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'leadership-'));
  t.after(() => rm(root, { recursive: true }));
  const folder = join(root, 'driver');
  await writeFile(folder, 'in its way');
  const leadership = new Leadership(folder);
  await leadership.saw(true);
  assert.equal(await leadership.ledLast(), true);
  assert.equal(await new Leadership(folder).ledLast(), false, 'it could not be kept');
  await rm(folder);
  await leadership.saw(true);
  assert.equal(await new Leadership(folder).ledLast(), true);
  await leadership.saw(false);
  assert.equal(await new Leadership(folder).ledLast(), false);
});
