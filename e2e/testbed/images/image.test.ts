import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { entriesOf } from './image.ts';

test("what a package's links lead to is no part of the image", (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'entries-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const root = join(dir, 'root');
  mkdirSync(join(dir, 'machine'));
  writeFileSync(join(dir, 'machine', 'key'), '');
  mkdirSync(join(root, 'etc', 'ssl'), { recursive: true });
  symlinkSync(join(dir, 'machine'), join(root, 'etc', 'ssl', 'private'));
  const entries = entriesOf(root).map(({ parentPath, name }) =>
    relative(root, join(parentPath, name)),
  );
  assert.deepEqual(entries, ['etc', 'etc/ssl', 'etc/ssl/private']);
});
