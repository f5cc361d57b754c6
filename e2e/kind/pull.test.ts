/**
 * Which image the nodes of kind get, by what the engine and its registry answer: a program of the name `docker`
 * gives the answers, with the words and exit codes of the real one.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { engineOf } from './engine.ts';
import { wantedNodeImage } from './pull.ts';

const dir = mkdtempSync(join(tmpdir(), 'pull-'));
after(() => rmSync(dir, { recursive: true }));

const image = 'kindest/node:v1.36.1@sha256:0123';

interface Scripted {
  /** What `docker image inspect` ends with. */
  readonly inspect: number;
  /** What `docker pull` does. */
  readonly pull: string;
  readonly isUsers?: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Asks for the image where docker answers so. */
async function asked({ inspect, pull, isUsers = true, timeoutMs, signal }: Scripted): Promise<{
  readonly wanted: string | undefined;
  readonly told: string;
  /** Commands that docker got. */
  readonly calls: readonly string[];
}> {
  const calls = join(dir, 'calls');
  rmSync(calls, { force: true });
  const script = [
    '#!/bin/sh',
    `echo "$1" >>'${calls}'`,
    `case "$1" in image) exit ${inspect};; pull) ${pull};; esac`,
  ].join('\n');
  writeFileSync(join(dir, 'docker'), script, { mode: 0o755 });
  const engine = engineOf(
    { PATH: `${dir}:${process.env['PATH']}` },
    isUsers,
    async () => undefined,
  );
  const told: string[] = [];
  const progress = (message: string): void => void told.push(message);
  const wanted = await wantedNodeImage(engine, progress, {
    imageOf: async () => image,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(signal && { signal }),
  });
  const lines = existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : [];
  return { wanted, told: told.join('\n'), calls: lines };
}

test("kind's own image is taken where the engine has it, and no registry is asked", async () => {
  const { wanted, calls } = await asked({ inspect: 0, pull: 'exit 1' });
  assert.deepEqual([wanted, calls], [image, ['image']]);
});

test("kind's own image is taken where it can be pulled", async () => {
  const { wanted, told, calls } = await asked({ inspect: 1, pull: 'exit 0' });
  assert.deepEqual([wanted, calls], [image, ['image', 'pull']]);
  assert.match(told, /pulling kindest\/node/);
});

const refusals = [
  'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
  'Error response from daemon: Head "https://registry-1.docker.io/v2/kindest/node/manifests/v1": unauthorized: incorrect username or password',
  'Error response from daemon: toomanyrequests: You have reached your pull rate limit.',
  'Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded)',
];
for (const refusal of refusals)
  test(`a node image is made where the engine says: ${refusal}`, async () => {
    const { wanted, told } = await asked({ inspect: 1, pull: `echo '${refusal}' >&2; exit 1` });
    assert.equal(wanted, undefined);
    assert.ok(told.includes(refusal) && told.includes('making a node image'), told);
  });

test('a node image is made where the registry does not answer in time', async () => {
  const { wanted, told } = await asked({ inspect: 1, pull: 'exec sleep 60', timeoutMs: 300 });
  assert.equal(wanted, undefined);
  assert.match(told, /did not end within 300 ms.*making a node image/);
});

test('an engine that was started for want of the user’s asks no registry', async () => {
  const { wanted, told, calls } = await asked({ inspect: 0, pull: 'exit 0', isUsers: false });
  assert.deepEqual([wanted, calls], [undefined, []]);
  assert.match(told, /no Docker of yours/);
});

test('who interrupts a pull gets no other image', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  setTimeout(() => controller.abort(new Error('Ctrl-C')), 200);
  await assert.rejects(asked({ inspect: 1, pull: 'exec sleep 60', signal }), /Ctrl-C/);
});
