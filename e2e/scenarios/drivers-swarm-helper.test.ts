/** Exec and volumes of other nodes, through a helper on each. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import type { Plan } from '@cloudlet/crds';
import type { Driver } from '@cloudlet/drivers';
import { helperName, helperPort, type HelperTls } from '@cloudlet/drivers/docker-swarm';
import { runCommand, systemClock } from '@cloudlet/runtime/base';
import type { ManagedProcess } from '../testbed/process.ts';
import { phonesUnavailable } from '../testbed/phones/phones.ts';
import {
  pushSwarmImages,
  swarmBed,
  type SwarmBed,
  swarmHarness,
  type SwarmImages,
} from './drivers-swarm-bed.ts';

const never = new AbortController().signal;

/** What a phone runs: the helper, with its certificate from a file. */
const program = `
  import { readFileSync } from 'node:fs';
  import { serveNodeHelper } from '@cloudlet/drivers/docker-swarm';
  import { createLogger } from '@cloudlet/runtime/base';
  const [file, socketPath] = process.argv.slice(2);
  const tls = JSON.parse(readFileSync(file, 'utf8'));
  await serveNodeHelper({ tls, socketPath, logger: createLogger() });
  console.log('serving');
`;

suite("the nodes' helpers", { skip: phonesUnavailable() ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'helpers-'));
  const programFile = join(import.meta.dirname, `.helper-${process.pid}.mjs`);
  let bed: SwarmBed;
  let images: SwarmImages;
  let driver: Driver;
  const helpers: ManagedProcess[] = [];

  before(async () => {
    bed = await swarmBed(3);
    images = await pushSwarmImages(bed.registry);
    const site = await certificates(folder);
    const file = join(folder, 'node.json');
    writeFileSync(file, JSON.stringify(site.node), { mode: 0o600 });
    writeFileSync(programFile, program);
    for (const phone of bed.phones) {
      const argv = [process.execPath, programFile, file, phone.innerSocketPath];
      const listens = ['sh', '-c', `ss -ltn | grep -q :${helperPort}`];
      const ready = (): Promise<string> => phone.run(listens);
      helpers.push(await phone.spawn(argv, { name: 'helper', ready, readyWithinMs: 30_000 }));
    }
    driver = bed.driver(await bed.leader(), { helpers: { tls: site.agent } });
  });
  after(async () => {
    for (const helper of helpers) await helper.stop();
    rmSync(programFile, { force: true });
    rmSync(folder, { recursive: true });
    await bed.close();
  });

  test('exec reaches every task, and a removal takes the volumes of every node', async () => {
    const compose = [
      'services:',
      '  web:',
      `    image: ${images.good}`,
      '    volumes: [data:/data]',
      '    deploy: {mode: global}',
      'volumes: {data: {}}',
    ].join('\n');
    const plan: Plan = {
      id: 'helps-everywhere',
      sequence: 1,
      object: { namespace: 'shop', name: 'web', uid: 'helps', generation: 1 },
      cloudlet: 'here',
      app: { name: 'web', version: '1', revision: 'web-1' },
      workload: { kind: 'Compose', compose },
    };
    await untilDone((checkpoint) => driver.ensure(plan, checkpoint, never));
    for (const { name } of bed.phones) {
      const target = `web-helps_web.${name}`;
      const argv = ['sh', '-c', 'echo from-$0; cat', name];
      const exec = { kind: 'exec' as const, instance: plan.id, target, argv, stdin: true };
      const session = await driver.openSession(exec, never);
      session.stdin?.end('and in');
      assert.equal(await text(session.stdout), `from-${name}\nand in`);
      assert.deepEqual(await session.exit, { code: 0 });
    }
    const harness = swarmHarness(bed, await bed.leader(), images);
    const volumes = (await harness.left(plan.id)).filter((one) => one.startsWith('volume'));
    assert.equal(volumes.length, 3);
    const removal = { id: plan.id, sequence: 2, deleteVolumes: true };
    const last = await untilDone((checkpoint) => driver.remove(removal, checkpoint, never));
    assert.deepEqual(last, { kind: 'Done' });
    assert.deepEqual(await harness.left(plan.id), []);
  });
});

type Call = Driver['ensure'];
async function untilDone(
  call: (checkpoint: Parameters<Call>[1]) => ReturnType<Call>,
): Promise<Awaited<ReturnType<Call>>> {
  let result = await call(undefined);
  for (let tries = 0; tries < 300 && result.kind === 'Working'; tries++) {
    await systemClock.sleep(result.againMs);
    result = await call(result.checkpoint);
  }
  return result;
}

/** A site's authority, and what it gave to an agent and to the nodes. */
async function certificates(folder: string): Promise<Record<'agent' | 'node', HelperTls>> {
  const at = (name: string): string => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const make = (name: string, subject: string, more: readonly string[]): Promise<unknown> => {
    const out = ['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)];
    return runCommand('openssl', [
      'req',
      '-x509',
      ...key,
      '-subj',
      `/CN=${subject}`,
      ...more,
      ...out,
    ]);
  };
  const issued = ['-CA', at('site.pem'), '-CAkey', at('site.key')];
  await make('site', 'site', []);
  await make('agent', 'edge:agent', [...issued, '-addext', 'basicConstraints=critical,CA:FALSE']);
  await make('node', helperName, [...issued, '-addext', 'basicConstraints=critical,CA:FALSE']);
  const read = (file: string): string => readFileSync(at(file), 'utf8');
  const tls = (name: string): HelperTls => ({
    key: read(`${name}.key`),
    cert: read(`${name}.pem`),
    ca: read('site.pem'),
  });
  return { agent: tls('agent'), node: tls('node') };
}
