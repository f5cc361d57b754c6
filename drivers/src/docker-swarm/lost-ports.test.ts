import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import type { EngineInfo, ListedContainer, Service, Task } from './engine-types.ts';
import { LostPorts } from './lost-ports.ts';
import type { Survey } from './survey.ts';
import { aNode, aService, aSpec, aTask, engineThat, now } from './testing.ts';

const never = new AbortController().signal;
const port = { Protocol: 'tcp', TargetPort: 8080, PublishedPort: 0, PublishMode: 'host' };
const published: Service = aService({ Spec: aSpec({ EndpointSpec: { Ports: [port] } }) });
const withoutPort = aTask({ exitCode: 0 });

interface Look {
  readonly service?: Service;
  readonly task?: Task;
  readonly leads?: boolean;
  readonly containers?: readonly Pick<ListedContainer, 'Ports'>[];
  /** The engine answers with an error. */
  readonly fails?: boolean;
  /** It refuses an update, since the service is another by now. */
  readonly isOvertaken?: boolean;
}

/** What the engine was asked to do about a service, in looks one after the other. */
async function bed(context: TestContext) {
  let containers: Look['containers'] = [];
  let asked = 0;
  let isOvertaken = false;
  const updates: { readonly query: string; readonly force: unknown }[] = [];
  const clock = new FakeClock(now);
  const engine = await engineThat(
    context,
    (request, response) => {
      const { pathname, search } = new URL(request.url ?? '', 'http://engine');
      if (pathname.endsWith('/containers/json')) {
        asked++;
        response.statusCode = containers ? 200 : 500;
        response.end(JSON.stringify(containers ?? { message: 'out of order' }));
        return;
      }
      if (isOvertaken) {
        response.statusCode = 500;
        response.end(JSON.stringify({ message: 'rpc error: update out of sequence' }));
        return;
      }
      void text(request).then((body) => {
        const { TaskTemplate } = JSON.parse(body) as Service['Spec'];
        updates.push({ query: search, force: TaskTemplate.ForceUpdate });
        response.end('{}');
      });
    },
    clock,
  );
  const place = () => ({ engine, ownNodeId: async () => 'node-1', helpers: undefined });
  const lost = new LostPorts({ engine, place, logger: silentLogger });
  return {
    clock,
    updates,
    get asked() {
      return asked;
    },
    async look(seen: Look = {}): Promise<void> {
      const { service = published, task = withoutPort, leads = true } = seen;
      const plain = [{ Ports: [{ PrivatePort: 8080, Type: 'tcp' as const }] }];
      isOvertaken = seen.isOvertaken ?? false;
      containers = seen.fails ? undefined : (seen.containers ?? plain);
      const view: Survey = {
        kind: 'Survey',
        info: { Swarm: { NodeID: 'node-1' } } as EngineInfo,
        nodes: [aNode({ manager: { leader: leads } })],
        services: [service],
        tasks: [task],
      };
      lost.survey(view, never);
      await lost.settled();
    },
  };
}

test('a service whose task has no port on its node is begun anew, once', async (t) => {
  const site = await bed(t);
  await site.look();
  assert.deepEqual(site.updates, [{ query: '?version=7', force: 1 }]);
  await site.look();
  const next = aTask({ id: 'task-2', exitCode: 0 });
  await site.look({ task: next });
  assert.equal(site.updates.length, 1, 'not again within a minute');
  await site.clock.advance(60_000);
  await site.look({ task: next });
  assert.equal(site.updates.length, 2);
});

test('what somebody changed at the same moment is tried again', async (t) => {
  const site = await bed(t);
  await site.look({ isOvertaken: true });
  await site.clock.advance(60_000);
  await site.look();
  assert.equal(site.updates.length, 1);
});

test('a port that only the list forgot is asked for once, and changes nothing', async (t) => {
  const site = await bed(t);
  const containers = [{ Ports: [{ PrivatePort: 8080, PublicPort: 32768, Type: 'tcp' as const }] }];
  await site.look({ containers });
  await site.look({ containers });
  assert.equal(site.asked, 1);
  assert.deepEqual(site.updates, []);
});

test('nobody is asked where nothing can be lost', async (t) => {
  const site = await bed(t);
  const Status = { ...withoutPort.Status, PortStatus: { Ports: [{ PublishedPort: 32768 }] } };
  await site.look({ task: { ...withoutPort, Status } });
  await site.look({ leads: false });
  await site.look({ service: aService() });
  await site.look({ service: { ...published, UpdateStatus: { State: 'updating' } } });
  await site.look({ task: aTask({ exitCode: 0, age: 5_000 }) });
  await site.look({ task: aTask({ exitCode: 0, state: 'starting' }) });
  assert.equal(site.asked, 0);
});

test('what ends at this moment is asked for again', async (t) => {
  const site = await bed(t);
  await site.look({ containers: [] });
  assert.deepEqual(site.updates, []);
  await site.look();
  assert.equal(site.updates.length, 1);
});

test('nobody is asked for a while after an engine that did not answer', async (t) => {
  const site = await bed(t);
  await site.look({ fails: true });
  await site.look();
  assert.deepEqual([site.asked, site.updates.length], [1, 0]);
  await site.clock.advance(30_000);
  await site.look();
  assert.deepEqual([site.asked, site.updates.length], [2, 1]);
});
