/**
 * `kubectl cloudlet` as a person uses it: the plugin on kubectl's PATH, a real region, and an agent that it
 * joined with.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { type AgentChild, eventually } from '@cloudlet/agent/testing';
import { type ControlPlane, type Region, until } from '../testbed/index.ts';
import { type CliWorld, openCliWorld, shopFile } from './cli-world.ts';

let world: CliWorld;
let dir: string;
let controlPlane: ControlPlane;
let region: Region;
let agent: AgentChild | undefined;

before(async () => {
  world = await openCliWorld();
  ({ dir, controlPlane, region } = world);
});

after(() => world?.[Symbol.asyncDispose]());

const cloudlet = (args: readonly string[], input?: string) =>
  world.cloudlet(args, input === undefined ? {} : { input });

test('kubectl finds the plugin and passes flags and exit codes through', async () => {
  const { PATH: path = '' } = process.env;
  const env = { PATH: `${dir}:${dirname(process.execPath)}:${path}` };
  const help = await controlPlane.kubectl(['cloudlet', '--help'], { env });
  assert.match(help, /Usage: kubectl cloudlet COMMAND/);
});

test('a join is printed, good once, and made anew on request', async () => {
  const first = await cloudlet(['join', 'north']);
  assert.equal(first.code, 0, first.stderr);
  const { token, ...rest } = JSON.parse(first.stdout) as Record<string, string>;
  assert.deepEqual([rest['cloudlet'], rest['hub']], ['north', region.hubAddress]);
  const renewed = await cloudlet(['join', 'north', '--renew']);
  assert.equal(renewed.code, 0, renewed.stderr);
  assert.notEqual((JSON.parse(renewed.stdout) as { token: string }).token, token);
  agent = await world.join(renewed.stdout);
  const used = await cloudlet(['join', 'north']);
  assert.equal(used.code, 1);
  assert.match(used.stderr, /was used by the key SHA256:.*kubectl cloudlet join north --renew/);
  const absent = await cloudlet(['join', 'nowhere']);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /^error: .*nowhere/);
});

test('explain names every site of the zone and why not, before anything is applied', async () => {
  const path = join(dir, 'shop.yaml');
  await writeFile(path, shopFile({ image: 'shop:1' }));
  const { stdout, stderr, code } = await cloudlet(['explain', '-f', path]);
  assert.equal(code, 0, stderr + stdout);
  assert.match(stdout, /default\/shop would run at north/);
  assert.match(stdout, /north +chosen/);
  assert.match(stdout, /south +no +\S+/);
  await writeFile(path, shopFile({ image: 'shop:1', architectures: ['linux/s390x'] }));
  const none = await cloudlet(['explain', '-f', path]);
  assert.equal(none.code, 1);
  assert.match(none.stdout, /default\/shop fits no site/);
  await assert.rejects(controlPlane.kubectl(['get', 'app', 'shop']), /NotFound/);
});

test('get shows sites and instances with their health', async () => {
  await controlPlane.kubectl(['apply', '-f', '-'], { input: shopFile({ image: 'shop:1' }) });
  await controlPlane.kubectl(['wait', '--for=condition=Ready', '--timeout=60s', 'appinst/shop'], {
    timeoutMs: 70_000,
  });
  await until('the site to count the instance', 30_000, async () => {
    const { stdout, stderr } = await cloudlet(['get']);
    assert.match(stdout, /^north +Fake +city +Ready +Up \d+\w +3\/3 +3\/3 +1$/m, stderr);
    assert.match(stdout, /^shop +shop +Ready +1\/1 +north/m);
  });
});

test('exec and logs reach the site and end with the code of the program', async () => {
  const echo = await cloudlet(['exec', 'shop', '--', 'echo', 'hello']);
  assert.deepEqual([echo.code, echo.stdout], [0, 'hello\n'], echo.stderr);
  const failing = await cloudlet(['exec', 'shop', '--', 'false']);
  assert.equal(failing.code, 1);
  const cat = await cloudlet(['exec', 'shop', '-i', '--', 'cat'], 'through the site');
  assert.deepEqual([cat.code, cat.stdout], [0, 'through the site'], cat.stderr);
  const logs = await cloudlet(['logs', 'shop', '--tail', '2']);
  assert.deepEqual([logs.code, logs.stdout], [0, 'line 9\nline 10\n'], logs.stderr);
  const shell = await cloudlet(['shell', 'north', '--', 'echo', 'manager']);
  assert.deepEqual([shell.code, shell.stdout], [0, 'manager\n'], shell.stderr);
  const absent = await cloudlet(['exec', 'absent', '--', 'true']);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /^error: .*absent/);
  await eventually('the line of who did what', () =>
    agent?.log.some((line) => line['message'] === 'session begins' && line['program'] === 'echo'),
  );
});
