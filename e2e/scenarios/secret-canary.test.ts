/**
 * One secret value sent down every way that a value can go, with every process at its most talkative: then
 * all that the region and the site say, to people, logs, metrics or the API, is searched for it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FakePlatform } from '@cloudlet/drivers/fake';
import { createLogger, runCommand, systemClock } from '@cloudlet/runtime/base';
import {
  type ControlPlane,
  joinOf,
  type Region,
  repositoryRoot,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';
import { startFakeAgent } from './hub-pair-world.ts';

const canary = 'canary-5f1c9e-do-not-show';
/** As it stands in a Secret, and in the middle of a longer base64 text. */
const disguises = [canary, ...[0, 1, 2].map((shift) => inBase64(shift))];

/** The part of the base64 of `canary` that is the same whatever goes before it. */
function inBase64(shift: number): string {
  return Buffer.from('x'.repeat(shift) + canary)
    .toString('base64')
    .slice(4, -8);
}

let dir: string;
let controlPlane: ControlPlane;
let region: Region;
let token: string;
const said: string[] = [];
const stop = new AbortController();
let agent: Promise<void> = Promise.resolve();

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'canary-'));
  controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  region = await startRegion({ controlPlane, dir: join(dir, 'processes'), logLevel: 'debug' });
  await controlPlane.kubectl(['create', 'namespace', 'shop']);
  await controlPlane.kubectl(['label', 'namespace', 'shop', 'edge.cloudlet.dev/organization=true']);
  await apply('Cloudlet', { name: 'north' }, { operator: 'campus', platform: 'Fake' });
  await apply('Flavor', { name: 'small' }, { vcpus: '10m', memory: '8Mi' });
  const joined = await joinOf(controlPlane, 'north');
  ({ token } = JSON.parse(joined) as { token: string });
  const logger = createLogger({ level: 'debug', write: (line) => void said.push(line) });
  const platform = new FakePlatform({ clock: systemClock });
  agent = startFakeAgent(join(dir, 'site'), joined, platform, stop.signal, logger);
});

after(async () => {
  stop.abort(new Error('the test is over'));
  await agent.catch(() => undefined);
  await region?.stop();
  await controlPlane.stop();
  await rm(dir, { recursive: true, force: true });
});

async function apply(kind: string, metadata: object, spec: object): Promise<void> {
  const object = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind, metadata, spec };
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
}

const secrets = {
  keys: {
    type: 'Opaque',
    data: { token: canary, file: `the file holds ${canary}`, odd: `${canary}\n'` },
  },
  pull: {
    type: 'kubernetes.io/dockerconfigjson',
    data: {
      '.dockerconfigjson': JSON.stringify({
        auths: { 'registry.example': { username: 'u', password: canary } },
      }),
    },
  },
  broken: {
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': `{"auths": "${canary}"}` },
  },
};

const ref = (key: string) => ({ name: 'keys', key });
const image = { version: '1', deployment: 'Docker', defaultFlavorRef: { name: 'small' } };
/** Apps that are fine, and Apps that fail where a secret is near. */
const apps: Readonly<Record<string, object>> = {
  plain: {
    ...image,
    image: 'registry.example/web:1',
    env: [{ name: 'TOKEN', secretKeyRef: ref('token') }],
    files: [{ path: '/etc/key', secretKeyRef: ref('file') }],
    imagePullSecretRef: { name: 'pull' },
  },
  compose: {
    ...image,
    compose:
      'services: {web: {image: "web:${TOKEN}", environment: {A: "${TOKEN}"}, ports: ["${TOKEN}"]}}',
    env: [{ name: 'TOKEN', secretKeyRef: ref('odd') }],
  },
  login: { ...image, image: 'registry.example/web:1', imagePullSecretRef: { name: 'broken' } },
  missing: {
    ...image,
    image: 'web:1',
    env: [
      { name: 'TOKEN', secretKeyRef: ref('token') },
      { name: 'NONE', secretKeyRef: ref('absent') },
    ],
  },
};

test('a secret goes down every way, to the site and into every failure', async () => {
  for (const [name, { type, data }] of Object.entries(secrets)) {
    const object = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: 'shop' },
      type,
      stringData: data,
    };
    await controlPlane.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) });
  }
  for (const [name, spec] of Object.entries(apps)) {
    await apply('App', { name, namespace: 'shop' }, spec);
    const refs = { appRef: { name }, cloudletRef: { name: 'north' } };
    await apply('AppInst', { name, namespace: 'shop' }, refs);
  }
  await until('the plain one to be Ready', 60_000, async () => {
    const path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    const ready = await controlPlane.kubectl(['get', 'appinst', 'plain', '-n', 'shop', '-o', path]);
    assert.equal(ready, 'True');
  });
  const stored = filesUnder(join(dir, 'site'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  assert.ok(stored.includes(canary), 'the plan with the secret is at the site');
  const path = '/apis/access.edge.cloudlet.dev/v1alpha1/namespaces/shop/appinsts/plain/exec';
  const exec = `${path}?command=login&command=${canary}`;
  await controlPlane.kubectl(['get', '--raw', exec]).catch(() => undefined); // no WebSocket
  const wrong = JSON.stringify({ cloudlet: 'north', token: canary });
  await assert.rejects(
    fetch(`https://${region.enrollAddress}/v1/enroll`, { method: 'POST', body: wrong }),
  );
});

test('only its owner reads what the site keeps', () => {
  const isPublic = (file: string): boolean => file.endsWith('.crt'); // certificates
  for (const file of filesUnder(join(dir, 'site')).filter((each) => !isPublic(each)))
    assert.equal(statSync(file).mode & 0o077, 0, file);
});

for (const [what, collect] of Object.entries({
  'the logs of the region': async () =>
    filesUnder(join(dir, 'processes'))
      .filter((file) => file.endsWith('.log'))
      .map((file) => readFileSync(file, 'utf8')),
  'the log of the agent': async () => said,
  'the metrics': async () => {
    const processes = [...region.operators, ...region.hubs, ...region.accesses];
    return Promise.all(processes.map((each) => each.metrics()));
  },
  'the arguments of the processes': async () =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          return [readFileSync(`/proc/${pid}/cmdline`, 'utf8')].filter((text) =>
            text.includes('operator/src/main.ts'),
          );
        } catch {
          return []; // it ended
        }
      }),
  'the objects and their status': async () => {
    const kinds = 'apps,appinsts,cloudlets,cloudletledgers,clusters,zones,flavors';
    const others = 'controllerrevisions,leases,configmaps,certificatesigningrequests';
    return [await controlPlane.kubectl(['get', `${kinds},${others}`, '-A', '-o', 'yaml'])];
  },
  'the events': async () => [await controlPlane.kubectl(['get', 'events', '-A', '-o', 'yaml'])],
  'what explains and describes them': async () => {
    const plugin = join(repositoryRoot, 'cli', 'src', 'main.ts');
    const explained = await Promise.all(
      Object.keys(apps).map(async (name) => {
        let output = '';
        const argv = [plugin, 'explain', `appinst/${name}`, '-n', 'shop'];
        await runCommand(process.execPath, argv, {
          env: { KUBECONFIG: controlPlane.kubeconfig },
          timeoutMs: 60_000,
          onOutput: (chunk) => (output += String(chunk)),
        }).catch(() => undefined);
        return output;
      }),
    );
    return [...explained, await controlPlane.kubectl(['describe', 'apps,appinsts', '-n', 'shop'])];
  },
}))
  test(`${what} do not hold it`, async () => {
    const texts = await collect();
    assert.ok(texts.join('').length > 200, 'there is something to search');
    for (const text of texts)
      for (const needle of [...disguises, token])
        assert.ok(!text.includes(needle), around(text, needle));
  });

function around(text: string, needle: string): string {
  const at = text.indexOf(needle);
  return `it is there: ${text.slice(Math.max(0, at - 300), at + 100)}`;
}

function filesUnder(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
