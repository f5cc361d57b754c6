import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { keepLogs } from './logs.ts';

const dir = mkdtempSync(join(tmpdir(), 'kind-logs-'));
after(() => rmSync(dir, { recursive: true }));

const pod = (name: string, restartCount: number) => ({
  metadata: { name, namespace: 'cloudlet-system' },
  status: {
    initContainerStatuses: [{ name: 'first', restartCount: 0 }],
    containerStatuses: [{ name: 'main', restartCount }],
  },
});

/** A cluster with two pods, of which one was started again, and one log that cannot be read. */
const kubectl = async (args: readonly string[]): Promise<string> => {
  const [verb, what = ''] = args;
  if (verb === 'get' && args.includes('json'))
    return JSON.stringify({ items: [pod('hub-0', 1), pod('operator-0', 0)] });
  if (verb === 'get') return `${what} of the cluster\n`;
  if (what === 'operator-0' && args.includes('main')) throw new Error('the kubelet is away');
  return `${what} ${args.includes('--previous') ? 'before' : 'now'}\n`;
};

const filesIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

test('every container has its log, the one before too, and what is missing is named', async () => {
  const folder = join(dir, 'kept');
  mkdirSync(folder);
  writeFileSync(join(folder, 'of-an-earlier-run.log'), '');
  const nodeLogs = async (to: string): Promise<void> => {
    mkdirSync(to);
    writeFileSync(join(to, 'kubelet.log'), 'node\n');
  };
  await keepLogs({ kubectl, nodeLogs, folder });
  assert.deepEqual(filesIn(folder), [
    'events.txt',
    'missing.txt',
    'node/kubelet.log',
    'pods.txt',
    'pods/cloudlet-system_hub-0_first.log',
    'pods/cloudlet-system_hub-0_main.log',
    'pods/cloudlet-system_hub-0_main.previous.log',
    'pods/cloudlet-system_operator-0_first.log',
  ]);
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  assert.equal(read('pods/cloudlet-system_hub-0_main.previous.log'), 'hub-0 before\n');
  assert.match(read('missing.txt'), /^pods\/.*operator-0_main\.log: .*the kubelet is away\n$/);
});

test('a cluster that does not answer fails nothing, and is named', async () => {
  const folder = join(dir, 'silent');
  const away = () => Promise.reject(new Error('away'));
  await keepLogs({ kubectl: away, nodeLogs: away, folder });
  assert.deepEqual(filesIn(folder), ['missing.txt']);
  const missing = readFileSync(join(folder, 'missing.txt'), 'utf8');
  assert.match(missing, /the pods: .*away\nthe node's logs: .*away\n$/);
});
