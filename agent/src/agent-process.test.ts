/** The whole agent against a real tunnel server on loopback; and as a process, where its exit code counts. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { attachSession } from '@cloudlet/tunnel';
import { createLogger, parseFlags } from '@cloudlet/runtime/base';
import { exitCodeOf, runAgent } from './agent-process.ts';
import { agentFlags } from './options.ts';
import { type AgentChild, startAgent } from './testing/agent-child.ts';
import { aFolder, aPlan, hashOf } from './testing/builders.ts';
import { eventually, TestRegion } from './testing/region.ts';

interface RunningAgent {
  readonly log: readonly Record<string, unknown>[];
  /** Settles with the exit code that the process would have. */
  readonly ended: Promise<number>;
  stop(): Promise<number>;
}

/** Starts an agent in this process; `join` is handed over in a file. */
async function start(
  t: TestContext,
  folder: string,
  more: { join?: string; args?: string[] } = {},
): Promise<RunningAgent> {
  const joinFile = join(folder, 'join.json');
  if (more.join !== undefined) await writeFile(joinFile, more.join);
  const { flags } = parseFlags(agentFlags, [
    ...['--state-dir', join(folder, 'state'), '--driver', 'fake', '--member', 'phone-1'],
    ...(more.args ?? ['--health-address', 'off']),
    ...(more.join === undefined ? [] : ['--join-file', joinFile]),
  ]);
  const log: Record<string, unknown>[] = [];
  const write = (line: string): void => void log.push(JSON.parse(line) as (typeof log)[number]);
  const logger = createLogger({ write });
  const stopping = new AbortController();
  const ended = runAgent({ flags, proxy: undefined, logger, signal: stopping.signal }).then(
    () => 0,
    (error: unknown) => {
      logger.error('the agent ends', { error });
      return exitCodeOf(error);
    },
  );
  const stop = (): Promise<number> => {
    stopping.abort(new Error('the test ends the agent'));
    return ended;
  };
  t.after(stop);
  return { log, ended, stop };
}

test('an agent enrols by the token of its join, carries out a plan and forgets the token', async (t) => {
  await using region = await TestRegion.start();
  const folder = await aFolder(t);
  const agent = await start(t, folder, { join: region.join() });
  await eventually('the link', () => region.link);
  region.place(aPlan());
  await eventually('the report', () => region.condition('Healthy') === 'True Healthy');
  const site = await eventually('the site', () => region.siteReports.at(-1));
  assert.deepEqual([site.site.uid, site.site.managers], ['uid-berlin', 3]);
  assert.doesNotMatch(await readFile(join(folder, 'state/join/join'), 'utf8'), /token/);
  assert.doesNotMatch(await readFile(join(folder, 'state/join/join.prev'), 'utf8'), /token/);
  assert.equal(await agent.stop(), 0);
});

test('a restarted agent needs no join and gets no plan twice', async (t) => {
  await using region = await TestRegion.start();
  const folder = await aFolder(t);
  region.place(aPlan());
  const first = await start(t, folder, { join: region.join() });
  await eventually('the report', () => region.condition('Healthy') === 'True Healthy');
  assert.equal(await first.stop(), 0);
  const links = region.links.length;
  const second = await start(t, folder);
  const link = await eventually('another link', () => region.links[links]);
  assert.deepEqual(link.hello.have, [{ id: 'id-1', sequence: 1, hash: hashOf(aPlan()) }]);
  assert.notEqual(link.hello.boot, region.links[0]?.hello.boot);
  assert.equal(await second.stop(), 0);
});

test('sessions run at the site, end with the code of the program, and are logged without arguments', async (t) => {
  await using region = await TestRegion.start();
  region.place(aPlan());
  const agent = await start(t, await aFolder(t), { join: region.join() });
  await eventually('the report', () => region.condition('Healthy') === 'True Healthy');
  const open = async (id: string, argv: string[]) =>
    attachSession(
      await region.link!.openSession(
        { id, kind: 'exec', instance: 'id-1', user: 'jane', argv },
        AbortSignal.timeout(10_000),
      ),
    );
  const echo = await open('1', ['echo', 'hello', 'hunter2']);
  assert.equal(await text(echo.stdout), 'hello hunter2\n');
  assert.deepEqual(await echo.exit, { code: 0 });
  const no = await open('2', ['false']);
  no.stdout.resume();
  assert.deepEqual(await no.exit, { code: 1 });
  const cat = await open('3', ['cat']);
  cat.stdin.end('through the site');
  assert.equal(await text(cat.stdout), 'through the site');
  const line = agent.log.find(({ message }) => message === 'session begins');
  assert.deepEqual(
    [line?.['user'], line?.['program'], line?.['instance']],
    ['jane', 'echo', 'id-1'],
  );
  assert.doesNotMatch(JSON.stringify(agent.log), /hunter2/);
});

test('a session that cannot be opened tells the user why', async (t) => {
  await using region = await TestRegion.start();
  await start(t, await aFolder(t), { join: region.join() });
  const link = await eventually('the link', () => region.link);
  const session = attachSession(
    await link.openSession(
      { id: '1', kind: 'exec', instance: 'absent', user: 'jane', argv: ['sh'] },
      AbortSignal.timeout(10_000),
    ),
  );
  session.stdout.resume();
  assert.deepEqual(await session.exit, { reason: 'no instance absent' });
});

const healthPort = (): number => 20_000 + Math.floor(Math.random() * 20_000);

test('health and metrics answer on the address that was given', async (t) => {
  await using region = await TestRegion.start();
  region.place(aPlan());
  const port = healthPort();
  const args = ['--health-address', `127.0.0.1:${port}`];
  await start(t, await aFolder(t), { join: region.join(), args });
  await eventually('the report', () => region.condition('Healthy') === 'True Healthy');
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };
  assert.deepEqual(await get('/healthz'), [200, 'ok\n']);
  assert.deepEqual(await get('/readyz'), [200, 'ok\n']);
  assert.equal((await get('/other'))[0], 404);
  const [, metrics] = await get('/metrics');
  assert.match(metrics, /^edge_agent_connected 1$/m);
  assert.match(metrics, /^edge_agent_instances 1$/m);
  assert.match(metrics, /^edge_agent_driver_call_seconds_count\{verb="Ensure",outcome="\w+"\} \d/m);
});

test('two agents never share a state folder', async (t) => {
  await using region = await TestRegion.start();
  const folder = await aFolder(t);
  await start(t, folder, { join: region.join() });
  await eventually('the link', () => region.link);
  const second = await start(t, folder);
  assert.equal(await second.ended, 4);
  assert.match(String(second.log.at(-1)?.['error']), /another agent uses .* stop that one first/);
});

test('a start that cannot work says what to do and exits with its own code', async (t) => {
  const folder = await aFolder(t);
  const ends = async (...args: string[]): Promise<[number | null, string]> => {
    const agent: AgentChild = startAgent({ args, input: '{"token":"hunter2hunter2hunter2"}' });
    t.after(() => agent.stop('SIGKILL'));
    const code = await agent.stop('SIGCONT');
    return [code, String(agent.log.at(-1)?.['error'] ?? agent.log.at(-1)?.['text'])];
  };
  await writeFile(join(folder, 'file'), '');
  const [noJoin, badJoin, badFlag, badState] = await Promise.all([
    ends('--state-dir', join(folder, 'one')),
    ends('--state-dir', join(folder, 'two'), '--join-file', '-'),
    ends('--no-such-flag'),
    ends('--state-dir', join(folder, 'file')),
  ]);
  assert.equal(noJoin[0], 3);
  assert.match(noJoin[1], /hand over what 'kubectl cloudlet join NAME' prints by --join-file/);
  assert.equal(badJoin[0], 3);
  assert.match(badJoin[1], /standard input: the join is not valid: cloudlet, hub/);
  assert.doesNotMatch(badJoin[1], /hunter2/);
  assert.equal(badFlag[0], 2);
  assert.equal(badState[0], 4);
  assert.match(badState[1], /cannot write to .*: give another --state-dir/);
});

test('a state folder belongs to one Cloudlet', async (t) => {
  await using region = await TestRegion.start();
  const folder = await aFolder(t);
  const first = await start(t, folder, { join: region.join() });
  await eventually('the link', () => region.link);
  await first.stop();
  const other = region.join().replace('"berlin"', '"munich"');
  const second = await start(t, folder, { join: other });
  assert.equal(await second.ended, 3);
  assert.match(String(second.log.at(-1)?.['error']), /belongs to Cloudlet berlin/);
});
