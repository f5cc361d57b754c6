/** The bundle: what is in it, what is not, and that old and small machines start it. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { runCommand } from '@cloudlet/runtime/base';
import { bundleAgent, type BundleResult } from './bundle.ts';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';

let bundle: BundleResult;
before(async () => {
  const outFolder = join(await mkdtemp(join(tmpdir(), 'cloudlet-bundle-')), 'agent');
  bundle = await bundleAgent({ outFolder, version: '9.8.7' });
});

async function codeFiles(): Promise<string[]> {
  const files = await readdir(bundle.folder, { recursive: true });
  return files.filter((file) => file.endsWith('.mjs')).map((file) => join(bundle.folder, file));
}

test('the bundle holds no client of Kubernetes, no gRPC, no protobuf and no SSH', () => {
  const inputs = Object.keys(bundle.metafile.inputs);
  const unwanted = /node_modules\/(@kubernetes|@grpc|protobufjs|@protobufjs|ssh2|undici)\//;
  assert.deepEqual(
    inputs.filter((input) => unwanted.test(input)),
    [],
  );
  assert.ok(
    !inputs.some(
      (input) => input.startsWith('operator/') || input.startsWith('runtime/src/kubernetes'),
    ),
  );
});

test('the bundle has 2 MB at most', async () => {
  const sizes = await Promise.all((await codeFiles()).map(async (file) => (await stat(file)).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(bytes <= 2_000_000, `${bytes} bytes`);
});

/** What is loaded with an entry, before anything is asked of it. */
function loadedWith(entryPoint: string): readonly string[] {
  const main = Object.entries(bundle.metafile.outputs).filter(
    ([, output]) => output.entryPoint === entryPoint,
  );
  assert.equal(main.length, 1);
  const eager = new Set<string>();
  const visit = (path: string): void => {
    const output = bundle.metafile.outputs[path];
    if (!output || eager.has(path)) return;
    eager.add(path);
    for (const { path: next, kind } of output.imports) if (kind !== 'dynamic-import') visit(next);
  };
  visit(main[0]![0]);
  return [...eager].flatMap((path) => Object.keys(bundle.metafile.outputs[path]?.inputs ?? {}));
}

test('a driver, and what makes certificate requests, are files of their own', () => {
  const lazy = /dockerode|@peculiar\/x509|drivers\/src\/(fake|docker-swarm)\//;
  assert.deepEqual(
    loadedWith('agent/src/agent-process.ts').filter((input) => lazy.test(input)),
    [],
  );
});

test("a node's helper loads nothing of the agent, the driver or the tunnel", () => {
  const ours = loadedWith('agent/src/node-process.ts').filter(
    (input) => !input.startsWith('runtime/src/base/'),
  );
  assert.deepEqual(ours.sort(), [
    'agent/src/node-process.ts',
    'agent/src/node20.ts',
    'agent/src/version.ts',
    'drivers/src/docker-swarm/helper/index.ts',
    'drivers/src/docker-swarm/helper/rules.ts',
    'drivers/src/docker-swarm/helper/server.ts',
  ]);
});

test('the bundle uses nothing that Node 20 lacks', async () => {
  // Syntax is esbuild's; these are functions. Others are added by node20.ts.
  const newer =
    /\b(Array\.fromAsync|Promise\.try|Object\.groupBy|Iterator\.from|RegExp\.escape|Error\.isError)\b|\.(isDisjointFrom|isSubsetOf|symmetricDifference)\(/;
  for (const file of await codeFiles()) {
    const found = newer.exec(await readFile(file, 'utf8'));
    assert.ok(found === null, `${file}: ${found?.[0]}`);
  }
});

test('the bundle starts and tells its version and its flags', async () => {
  const run = (flag: string) =>
    runCommand(process.execPath, [bundle.entry, flag], { timeoutMs: 60_000 });
  assert.equal((await run('--version')).stdout, '9.8.7\n');
  assert.match((await run('--help')).stdout, /--join-file/);
  const node = await runCommand(process.execPath, [bundle.entry, 'node', '--help'], {
    timeoutMs: 60_000,
  });
  assert.match(node.stdout, /--tls-file/);
});
