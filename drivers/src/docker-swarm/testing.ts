/** Builders of what an engine answers, and an engine that answers as it is told, for tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Clock, systemClock } from '@cloudlet/runtime/base';
import type { ServiceSpec } from '../compose/index.ts';
import { Engine } from './engine.ts';
import type { Service, SwarmNode, Task, TaskState } from './engine-types.ts';
import { instanceLabel, sequenceLabel, servicesLabel, stackLabel } from './names.ts';

export const now = Date.UTC(2026, 5, 1, 12);
const ago = (ms: number): string => new Date(now - ms).toISOString();

export async function engineThat(
  context: TestContext,
  listener: RequestListener,
  clock: Clock = systemClock,
): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), 'engine-'));
  const socketPath = join(folder, 'socket');
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  context.after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  return new Engine({ socketPath, clock });
}

export function aSpec(change: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    Name: 'shop-abcde_web',
    Labels: {
      [stackLabel]: 'shop-abcde',
      [instanceLabel]: 'abcde-1',
      [sequenceLabel]: '3',
      [servicesLabel]: '1',
    },
    TaskTemplate: {
      ContainerSpec: { Image: 'web:1@sha256:aa', Labels: {} },
      Resources: {},
      Placement: {},
      Networks: [],
      ForceUpdate: 0,
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: {},
    ...change,
  };
}

export function aService(change: Partial<Service> = {}): Service {
  return {
    ID: 'service-1',
    Version: { Index: 7 },
    CreatedAt: ago(60_000),
    UpdatedAt: ago(60_000),
    Spec: aSpec(),
    ...change,
  };
}

interface TaskChange {
  readonly id?: string;
  readonly slot?: number;
  readonly node?: string;
  readonly image?: string;
  readonly state?: TaskState;
  readonly desired?: TaskState;
  readonly error?: string;
  /** Of its container, which it has then. */
  readonly exitCode?: number;
  /** Milliseconds since it was made and came to its state. */
  readonly age?: number;
}

export function aTask(change: TaskChange = {}): Task {
  const { id = 'task-1', slot = 1, node = 'node-1', image = 'web:1@sha256:aa' } = change;
  const { state = 'running', desired = 'running', error, exitCode, age = 30_000 } = change;
  const spec = aSpec().TaskTemplate;
  return {
    ID: id,
    Version: { Index: 1 },
    CreatedAt: ago(age),
    UpdatedAt: ago(age),
    ServiceID: 'service-1',
    NodeID: node,
    Slot: slot,
    Spec: { ...spec, ContainerSpec: { ...spec.ContainerSpec, Image: image } },
    DesiredState: desired,
    Status: {
      Timestamp: ago(age),
      State: state,
      ...(error ? { Err: error } : {}),
      ...(exitCode === undefined
        ? {}
        : { ContainerStatus: { ContainerID: `of-${id}`, ExitCode: exitCode } }),
    },
  };
}

interface NodeChange {
  readonly id?: string;
  readonly name?: string;
  readonly architecture?: string;
  readonly labels?: Record<string, string>;
  readonly state?: SwarmNode['Status']['State'];
  readonly availability?: SwarmNode['Spec']['Availability'];
  /** Absent: a worker. */
  readonly manager?: { readonly leader?: boolean; readonly reachable?: boolean };
}

export function aNode(change: NodeChange = {}): SwarmNode {
  const { id = 'node-1', name = id, architecture = 'x86_64', labels = {}, manager } = change;
  return {
    ID: id,
    Version: { Index: 1 },
    Spec: {
      Labels: labels,
      Role: manager ? 'manager' : 'worker',
      Availability: change.availability ?? 'active',
    },
    Description: {
      Hostname: name,
      Platform: { Architecture: architecture, OS: 'linux' },
      Resources: { NanoCPUs: 2e9, MemoryBytes: 1024 },
      Engine: { EngineVersion: '20.10.24' },
    },
    Status: { State: change.state ?? 'ready', Addr: '192.0.2.1' },
    ...(manager
      ? {
          ManagerStatus: {
            Leader: manager.leader ?? false,
            Reachability: manager.reachable === false ? 'unreachable' : 'reachable',
            Addr: '192.0.2.1:2377',
          },
        }
      : {}),
  };
}
