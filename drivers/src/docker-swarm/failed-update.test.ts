/** Updates that the swarm gives up, told by an engine that keeps one service as swarmkit does. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { json as readJson } from 'node:stream/consumers';
import test, { type TestContext } from 'node:test';
import { DriverError, FakeClock } from '@cloudlet/runtime/base';
import type { ServiceSpec } from '../compose/index.ts';
import type { Service, Task } from './engine-types.ts';
import { type Attempt, failedUpdateOf } from './failed-update.ts';
import { failedLabel, imageLabel } from './names.ts';
import { ensureService } from './services.ts';
import { aNode, aService, aSpec, aTask, engineThat, now } from './testing.ts';

const minuteMs = 60_000;
const { signal } = new AbortController();

/** What one service is asked to be, and how its swarm takes it. */
class Swarm {
  readonly clock = new FakeClock(now);
  service: Service;
  tasks: readonly Task[] = [];
  nodes = [aNode({ id: 'node-1', name: 'phone1' }), aNode({ id: 'node-2', name: 'phone2' })];
  tried: Attempt | undefined;
  updates = 0;

  constructor() {
    this.service = aService({ Spec: specOf('one') });
  }

  /** Brings the service to `wish`, and knows of it what the agent has on disk. */
  async ensure(context: TestContext, wish: string): Promise<boolean> {
    const engine = await engineThat(
      context,
      (request, response) => {
        void this.#answer(request).then((answer) => {
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(JSON.stringify(answer));
        });
      },
      this.clock,
    );
    const facts = { architectures: [], emulators: [], ipvs: false };
    const result = await ensureService(specOf(wish), this.service, this.tried, {
      ...{ engine, plan: {}, facts, signal },
    });
    this.tried = result.tried ?? this.tried;
    return result.changed;
  }

  async #answer(request: IncomingMessage): Promise<unknown> {
    if (request.method !== 'POST') return request.url?.includes('/tasks') ? this.tasks : this.nodes;
    this.#update((await readJson(request)) as ServiceSpec);
    return {};
  }

  #update(Spec: ServiceSpec): void {
    const { UpdateStatus: _, ...service } = this.service;
    this.service = { ...service, Spec, PreviousSpec: service.Spec };
    this.updates++;
  }

  /** Gives the update up after these tasks of it failed. */
  giveUp(
    State: 'rollback_completed' | 'rollback_paused' | 'paused',
    tasks: readonly Task[] = [],
  ): void {
    const { PreviousSpec, Spec } = this.service;
    const StartedAt = new Date(this.clock.now()).toISOString();
    this.tasks = tasks.map((task) => ({
      ...task,
      CreatedAt: StartedAt,
      Status: { ...task.Status, Timestamp: StartedAt },
    }));
    this.service = {
      ...this.service,
      Spec: State === 'paused' ? Spec : (PreviousSpec ?? Spec),
      UpdateStatus: { State, StartedAt, Message: 'rollback completed' },
    };
  }
}

function specOf(wish: string): ServiceSpec {
  const spec = aSpec();
  const { ContainerSpec } = spec.TaskTemplate;
  return {
    ...spec,
    Labels: { ...spec.Labels, [imageLabel]: 'web:1' },
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...ContainerSpec, Env: [`WISH=${wish}`] },
    },
  };
}

const wishOf = ({ Spec }: Service) => Spec.TaskTemplate.ContainerSpec.Env?.[0];

const ended = { state: 'failed', desired: 'shutdown' } as const;
const crashed = aTask({ ...ended, exitCode: 1, error: 'task: non-zero exit (1)' });
const rejected = aTask({ state: 'rejected', desired: 'shutdown', error: 'No such image: web:1' });
const hung = aTask({ state: 'assigned', desired: 'shutdown', node: 'node-2' });

const refusedFor =
  (ms: number, message: RegExp, reason = 'RolledBack') =>
  (error: unknown): boolean => {
    assert.ok(error instanceof DriverError, String(error));
    assert.deepEqual([error.reason, error.permanent, error.retryAfterMs], [reason, false, ms]);
    assert.match(error.message, message);
    return true;
  };

test('a program that fails is tried again after ever longer, and what failed is told meanwhile', async (t) => {
  const swarm = new Swarm();
  assert.equal(await swarm.ensure(t, 'two'), true);
  swarm.giveUp('rollback_completed', [crashed]);
  const first =
    /web: update rolled back: task: non-zero exit \(1\) \(failed once; next try 2026-06-01T12:10:00Z\)/;
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(10 * minuteMs, first));
  const marked = swarm.updates;
  await swarm.clock.advance(4 * minuteMs);
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(6 * minuteMs, first));
  assert.equal(swarm.updates, marked, 'nothing is done before its time');
  assert.equal(wishOf(swarm.service), 'WISH=one');
  await swarm.clock.advance(6 * minuteMs);
  assert.equal(await swarm.ensure(t, 'two'), true);
  assert.equal(wishOf(swarm.service), 'WISH=two');
  swarm.giveUp('rollback_completed', [crashed]);
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(20 * minuteMs, /failed 2 times/));
  assert.equal(failedUpdateOf(swarm.service)?.count, 2);
});

test('an update that a hung node failed is tried again soon, and then nothing is left of it', async (t) => {
  const swarm = new Swarm();
  await swarm.ensure(t, 'two');
  swarm.giveUp('rollback_completed', [hung]);
  swarm.nodes = [aNode({ id: 'node-1' }), aNode({ id: 'node-2', name: 'phone2', state: 'down' })];
  const told = /update rolled back: phone2 did not start what was placed there \(failed once/;
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(minuteMs / 2, told));
  await swarm.clock.advance(minuteMs / 2);
  assert.equal(await swarm.ensure(t, 'two'), true);
  assert.equal(await swarm.ensure(t, 'two'), false);
  assert.equal(failedUpdateOf(swarm.service), undefined);
});

const killed = aTask({ ...ended, exitCode: 137, error: 'task: non-zero exit (137)' });
const nodesFault: readonly (readonly [string, Task, Parameters<typeof aNode>[0]])[] = [
  ['a node rejects', rejected, {}],
  ['ended on a node that is lost', crashed, { state: 'down' }],
  ['was killed, as by an engine that goes', killed, {}],
];
for (const [what, task, node] of nodesFault)
  test(`what ${what} is the node's fault`, async (t) => {
    const swarm = new Swarm();
    swarm.nodes = [aNode(node)];
    await swarm.ensure(t, 'two');
    swarm.giveUp('rollback_completed', [task]);
    await assert.rejects(swarm.ensure(t, 'two'), refusedFor(minuteMs / 2, /rolled back/));
  });

test('a program that never became healthy is not mistaken for one that was killed', async (t) => {
  const swarm = new Swarm();
  await swarm.ensure(t, 'two');
  const sick = aTask({ ...ended, exitCode: 137, error: 'task: unhealthy container' });
  swarm.giveUp('rollback_completed', [sick]);
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(10 * minuteMs, /unhealthy/));
});

test('the wait is never longer than six hours', async (t) => {
  const swarm = new Swarm();
  for (let round = 0; round < 12; round++) {
    await swarm.ensure(t, 'two');
    swarm.giveUp('rollback_completed', [crashed]);
    await assert.rejects(swarm.ensure(t, 'two'), { reason: 'RolledBack' });
    await swarm.clock.advance(360 * minuteMs);
  }
  await swarm.ensure(t, 'two');
  swarm.giveUp('rollback_completed', [crashed]);
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(360 * minuteMs, /failed 13 times/));
});

test('a roll-back that stopped half-way is written down, which has the swarm go on with it', async (t) => {
  const swarm = new Swarm();
  await swarm.ensure(t, 'two');
  swarm.giveUp('rollback_paused', [crashed]);
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(10 * minuteMs, /failed once/));
  assert.equal(swarm.service.UpdateStatus, undefined);
  assert.equal(wishOf(swarm.service), 'WISH=one');
});

test('an update that stopped half-way goes on after a while, and tells why it waits', async (t) => {
  const swarm = new Swarm();
  await swarm.ensure(t, 'two');
  swarm.giveUp('paused', [hung]);
  const stopped = /update stopped: .*\(failed once; next try/;
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(minuteMs / 2, stopped, 'DeployFailed'));
  const updates = swarm.updates;
  await swarm.clock.advance(minuteMs / 2);
  assert.equal(await swarm.ensure(t, 'two'), true);
  assert.equal(swarm.updates, updates + 1);
  swarm.giveUp('paused', [hung]);
  await assert.rejects(
    swarm.ensure(t, 'two'),
    refusedFor(minuteMs, /failed 2 times/, 'DeployFailed'),
  );
});

test('another content is tried at once, and what failed before it is not taken for it', async (t) => {
  const swarm = new Swarm();
  await swarm.ensure(t, 'two');
  swarm.giveUp('rollback_completed', [crashed]);
  assert.equal(await swarm.ensure(t, 'three'), true);
  assert.equal(wishOf(swarm.service), 'WISH=three');
});

test('what an agent of before wrote down is tried once more', async (t) => {
  const swarm = new Swarm();
  await swarm.ensure(t, 'two');
  swarm.giveUp('rollback_completed', [crashed]);
  await assert.rejects(swarm.ensure(t, 'two'));
  const { content, message } = failedUpdateOf(swarm.service) ?? {};
  const { Spec } = swarm.service;
  const Labels = { ...Spec.Labels, [failedLabel]: JSON.stringify({ content, message }) };
  swarm.service = { ...swarm.service, Spec: { ...Spec, Labels } };
  swarm.tried = undefined;
  assert.equal(await swarm.ensure(t, 'two'), true);
  swarm.giveUp('rollback_completed', [crashed]);
  await assert.rejects(swarm.ensure(t, 'two'), refusedFor(20 * minuteMs, /failed 2 times/));
});
