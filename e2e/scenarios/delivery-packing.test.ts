/** What a release packs besides images: the same bytes at another time, and taken by who it is for. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runCommand, systemClock } from '@cloudlet/runtime/base';
import { version } from '../images/product.ts';
import { helmOf, helmUnavailable } from '../testbed/helm/helm.ts';
import { packChart, packPlugin, sha256Of } from '../release/packing.ts';

const dir = mkdtempSync(join(tmpdir(), 'packing-'));
after(() => rmSync(dir, { recursive: true }));

const epoch = 1_790_000_000;

/** Two folders to write to. */
function folders(name: string): readonly [string, string] {
  const [first, second] = [join(dir, `${name}-1`), join(dir, `${name}-2`)];
  for (const folder of [first, second]) mkdirSync(folder);
  return [first, second];
}

const skip = helmUnavailable() ?? false;
for (const name of ['cloudlet-operator', 'cloudlet-agent'])
  test(
    `${name} packed a second later is the same file, and helm renders it`,
    { skip },
    async () => {
      const helm = await helmOf();
      const [first, second] = folders(name);
      const file = await packChart(name, helm, { out: first, version, epoch });
      await systemClock.sleep(1_100); // times in archives have seconds
      const again = await packChart(name, helm, { out: second, version, epoch });
      assert.equal(sha256Of(again), sha256Of(file));
      const secret = name === 'cloudlet-agent' ? ['--set', 'join.secretName=join'] : [];
      const values = (chart: string) => helm(['template', 'x', chart, ...secret]);
      assert.equal(
        await values(file),
        await values(join(import.meta.dirname, '../../charts', name)),
      );
    },
  );

test('the plugin packed again is the same file, and brings licences and components', async () => {
  const [first, second] = folders('plugin');
  const options = { version, epoch, url: 'https://git.example/org/cloudlet-operator' };
  const file = await packPlugin({ ...options, out: first });
  const again = await packPlugin({ ...options, out: second });
  assert.equal(sha256Of(again), sha256Of(file));
  await runCommand('tar', ['-xzf', file, '-C', first]);
  const plugin = join(first, 'kubectl-cloudlet');
  const { stdout } = await runCommand(process.execPath, [plugin, '--version']);
  assert.equal(stdout, `${version}\n`);
  assert.match(readFileSync(join(first, 'LICENSES.txt'), 'utf8'), /^zod \d[\d.]* \(MIT\)$/m);
  const bill = readFileSync(join(first, `kubectl-cloudlet-${version}.cdx.json`), 'utf8');
  const { components } = JSON.parse(bill) as { components: { name: string }[] };
  assert.ok(components.some(({ name }) => name === 'undici'));
  assert.match(readFileSync(join(first, 'cloudlet.krew.yaml'), 'utf8'), new RegExp(sha256Of(file)));
});
