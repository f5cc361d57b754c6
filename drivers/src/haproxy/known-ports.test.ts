import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Task } from '../docker-swarm/engine-types.ts';
import { aTask } from '../docker-swarm/testing.ts';
import { KnownPorts } from './known-ports.ts';

const withPorts = (task: Task, port?: number): Task => ({
  ...task,
  Status: {
    ...task.Status,
    PortStatus: port ? { Ports: [{ TargetPort: 8080, PublishedPort: port }] } : {},
  },
});
const portOf = (task: Task | undefined) => task?.Status.PortStatus?.Ports?.[0]?.PublishedPort;

test('a port that the swarm forgot is remembered while the task runs, over a restart, too', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'known-ports-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'ports.json');
  const task = aTask();
  const known = new KnownPorts(file);
  await known.complete([withPorts(task, 32768)]);
  const [forgotten] = await known.complete([withPorts(task)]);
  assert.equal(portOf(forgotten), 32768);
  const [after] = await new KnownPorts(file).complete([withPorts(task)]);
  assert.equal(portOf(after), 32768);
  const [told] = await known.complete([withPorts(task, 32770)]);
  assert.equal(portOf(told), 32770);
  await known.complete([]);
  const [another] = await known.complete([withPorts(task)]);
  assert.equal(portOf(another), undefined, 'what is gone is forgotten');
});
