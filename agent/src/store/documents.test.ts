import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cloudlet/runtime/base';
import { seededRandom } from '@cloudlet/drivers/fake';
import { aFolder } from '../testing/builders.ts';
import { PowerLoss, PowerLossDisk } from '../testing/power-loss-disk.ts';
import { systemDisk } from './disk.ts';
import { Documents } from './documents.ts';

async function opened(folder: string, disk = systemDisk) {
  const documents = new Documents(folder, disk, silentLogger);
  const texts = new Map<string, string>();
  await documents.open((name, text) => void texts.set(name, text));
  return { documents, texts };
}

test('what was written is read again, and only its owner may read the file', async (t) => {
  const folder = await aFolder(t);
  const { documents } = await opened(folder);
  await documents.write('a', 'one');
  await documents.write('a', 'two');
  assert.equal((await stat(join(folder, 'a'))).mode & 0o777, 0o600);
  assert.deepEqual([...(await opened(folder)).texts], [['a', 'two']]);
});

test('a corrupt file falls back to the generation before', async (t) => {
  const folder = await aFolder(t);
  const { documents } = await opened(folder);
  await documents.write('a', 'one');
  await documents.write('a', 'two');
  const path = join(folder, 'a');
  await writeFile(path, (await readFile(path, 'utf8')).replace('two', 'twp'));
  const again = await opened(folder);
  assert.deepEqual([...again.texts], [['a', 'one']]);
  assert.equal(again.documents.intact, true);
});

test('a file that is lost in both generations is set aside and told', async (t) => {
  const folder = await aFolder(t);
  const { documents } = await opened(folder);
  await documents.write('a', 'one');
  await documents.write('a', 'two');
  await writeFile(join(folder, 'a'), 'rubbish');
  await writeFile(join(folder, 'a.prev'), '');
  const again = await opened(folder);
  assert.deepEqual([again.texts.size, again.documents.intact], [0, false]);
  assert.equal(await readFile(join(folder, 'a.broken'), 'utf8'), 'rubbish');
  await again.documents.write('a', 'three');
  assert.deepEqual([...(await opened(folder)).texts], [['a', 'three']]);
});

test('a document whose text is not what it should be falls back as well', async (t) => {
  const folder = await aFolder(t);
  const { documents } = await opened(folder);
  await documents.write('a', '1');
  await documents.write('a', 'no number');
  const seen: number[] = [];
  await new Documents(folder, systemDisk, silentLogger).open((_, text) => {
    if (Number.isNaN(Number(text))) throw new Error('no number');
    seen.push(Number(text));
  });
  assert.deepEqual(seen, [1]);
});

test('no loss of power brings back an older state than the last acknowledged one', async () => {
  for (let seed = 1; seed <= 400; seed++) {
    const random = seededRandom(seed);
    const disk = new PowerLossDisk(random, 0);
    let acknowledged = 0;
    let asked = 0;
    for (let life = 0; life < 4; life++) {
      disk.restart(1000); // opening is tried below
      const { documents, texts } = await opened('/state', disk);
      const found = Number(texts.get('a') ?? 0);
      assert.ok(
        found >= acknowledged && found <= asked,
        `seed ${seed}: found ${found}, ${acknowledged} was acknowledged, ${asked} asked for`,
      );
      acknowledged = asked = found;
      disk.restart(Math.floor(random() * 60));
      try {
        for (;;) {
          await documents.write('a', String(++asked));
          acknowledged = asked;
        }
      } catch (error) {
        assert.ok(error instanceof PowerLoss, String(error));
      }
    }
  }
});

test('a loss of power while opening changes nothing', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const disk = new PowerLossDisk(random, 8 + Math.floor(random() * 12));
    let acknowledged = 0;
    try {
      const { documents } = await opened('/state', disk);
      for (;;) {
        await documents.write('a', String(acknowledged + 1));
        acknowledged++;
      }
    } catch (error) {
      assert.ok(error instanceof PowerLoss, String(error));
    }
    disk.restart(Math.floor(random() * 3));
    await opened('/state', disk).catch((error: unknown) => assert.ok(error instanceof PowerLoss));
    disk.restart(1000);
    const found = Number((await opened('/state', disk)).texts.get('a') ?? 0);
    assert.ok(found === acknowledged || found === acknowledged + 1, `seed ${seed}: ${found}`);
  }
});

test('a removed document never comes back from its older generation', async () => {
  for (let seed = 1; seed <= 400; seed++) {
    const random = seededRandom(seed);
    const disk = new PowerLossDisk(random, 1000);
    const first = await opened('/state', disk);
    await first.documents.write('a', 'old');
    await first.documents.write('a', 'new');
    let isAcknowledged = false;
    try {
      const { documents } = await opened('/state', disk);
      disk.restart(Math.floor(random() * 6));
      await documents.remove('a');
      isAcknowledged = true;
    } catch (error) {
      assert.ok(error instanceof PowerLoss);
    }
    disk.restart(1000);
    const found = (await opened('/state', disk)).texts.get('a');
    const allowed = isAcknowledged ? [undefined] : [undefined, 'new'];
    assert.ok(allowed.includes(found), `seed ${seed}: found ${found}`);
  }
});
