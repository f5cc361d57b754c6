import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '@cloudlet/crds';
import type { Service, SwarmNode, Task } from '../docker-swarm/engine-types.ts';
import { renderConfig, renderShape } from './config.ts';
import { parseStat } from './control.ts';
import { feedCommands } from './load-balancer.ts';
import { frontendsOf, type Server, type SwarmView } from './model.ts';
import { assignSlots } from './slots.ts';

const plan: Plan = {
  id: 'abcde-1',
  sequence: 1,
  object: { namespace: 'default', name: 'web', uid: 'abcde-1', generation: 1 },
  cloudlet: 'phones',
  app: { name: 'web', version: '1', revision: 'web-1' },
  workload: { kind: 'Image', image: 'web:1' },
  ports: [{ name: 'http', protocol: 'HTTP', port: 8080, publicPort: 10080 }],
};

const nodes = [
  {
    ID: 'n1',
    Status: { State: 'ready', Addr: '0.0.0.0' },
    ManagerStatus: { Addr: '192.0.2.1:2377', Reachability: 'reachable' },
  },
  { ID: 'n2', Status: { State: 'ready', Addr: '192.0.2.2' } },
  { ID: 'n3', Status: { State: 'down', Addr: '192.0.2.3' } },
] as unknown as readonly SwarmNode[];

const services = [
  {
    ID: 'sv',
    Spec: {
      Name: 'web-abcde_web',
      Labels: {
        'edge.cloudlet.dev/instance-id': 'abcde-1',
        'com.docker.stack.namespace': 'web-abcde',
      },
    },
  },
] as unknown as readonly Service[];

const task = (id: string, node: string, port: number, desired = 'running'): Task =>
  ({
    ID: id,
    ServiceID: 'sv',
    NodeID: node,
    DesiredState: desired,
    Status: {
      State: 'running',
      PortStatus: {
        Ports: [
          { Protocol: 'tcp', TargetPort: 8080, PublishedPort: port },
          { Protocol: 'tcp', TargetPort: 8080, PublishedPort: port },
        ],
      },
    },
  }) as unknown as Task;

const viewOf = (...tasks: readonly Task[]): SwarmView => ({ services, nodes, tasks });
const options = { ipv6: false };

test('a frontend sends to the tasks of its service, at their nodes and the ports these picked', () => {
  const [frontend] = frontendsOf([plan], viewOf(task('t1', 'n1', 32768), task('t2', 'n2', 32769)));
  assert.deepEqual(frontend?.servers, [
    { key: 't1', address: '192.0.2.1', port: 32768, isLeaving: false },
    { key: 't2', address: '192.0.2.2', port: 32769, isLeaving: false },
  ]);
  assert.equal(frontend.publicPort, 10080);
});

test('where every node counts as down their tasks stay servers, for their checks to judge', () => {
  const [frontend] = frontendsOf([plan], viewOf(task('t1', 'n3', 32768)));
  assert.deepEqual(
    frontend?.servers.map(({ address }) => address),
    ['192.0.2.3'],
  );
});

test('a task on a node that is down is no server, one that was told to stop is leaving', () => {
  const [frontend] = frontendsOf(
    [plan],
    viewOf(task('t1', 'n3', 32768), task('t2', 'n2', 32769, 'shutdown')),
  );
  assert.deepEqual(
    frontend?.servers.map(({ key, isLeaving }) => [key, isLeaving]),
    [['t2', true]],
  );
});

test('a port without a task has its frontend all the same', () => {
  const frontends = frontendsOf([plan], { services: [], nodes, tasks: [] });
  assert.deepEqual(
    frontends.map(({ publicPort, servers }) => [publicPort, servers.length]),
    [[10080, 0]],
  );
});

test('servers keep their slots while others come and go', () => {
  const first = frontendsOf([plan], viewOf(task('t1', 'n1', 1), task('t2', 'n2', 2)));
  const before = assignSlots(first, new Map());
  const second = frontendsOf([plan], viewOf(task('t2', 'n2', 2), task('t3', 'n1', 3)));
  const after = assignSlots(second, before);
  const [name = ''] = [...after.keys()];
  assert.deepEqual(
    after.get(name)?.map((server) => server?.key),
    ['t3', 't2', ...Array<undefined>(6)],
  );
});

test('servers alone do not change the shape of the configuration, ports do', () => {
  const shapeOf = (plans: readonly Plan[], view: SwarmView): string => {
    const frontends = frontendsOf(plans, view);
    return renderShape(frontends, assignSlots(frontends, new Map()), options);
  };
  const one = shapeOf([plan], viewOf(task('t1', 'n1', 1)));
  assert.equal(shapeOf([plan], viewOf(task('t9', 'n2', 9))), one);
  const moved = { ...plan, ports: [{ ...plan.ports![0]!, publicPort: 10081 }] };
  assert.notEqual(shapeOf([moved], viewOf(task('t1', 'n1', 1))), one);
});

test('a path of a check cannot leave its quotes', () => {
  const evil = {
    ...plan,
    ports: [{ ...plan.ports![0]!, healthCheck: { type: 'HTTP' as const, path: "/'#x" } }],
  };
  const frontends = frontendsOf([evil], viewOf());
  const text = renderConfig(frontends, assignSlots(frontends, new Map()), options);
  assert.match(text, /uri '\/'\\''#x' ver HTTP\/1\.1/);
});

const server = (key: string, port: number, isLeaving = false): Server => ({
  key,
  address: '192.0.2.1',
  port,
  isLeaving,
});
const state = (slot: string, address: string, status: string) => ({
  backend: 'b',
  slot,
  address,
  status,
});

test('the only server takes connections before its first check, a further one after it', () => {
  const empty = [state('s1', '127.0.0.1:1', 'MAINT'), state('s2', '127.0.0.1:1', 'MAINT')];
  assert.deepEqual(feedCommands('b', [server('t1', 1), undefined], empty), [
    'set server b/s1 addr 192.0.2.1 port 1',
    'set server b/s1 state ready',
  ]);
  const one = [state('s1', '192.0.2.1:1', 'UP'), state('s2', '127.0.0.1:1', 'MAINT')];
  assert.deepEqual(feedCommands('b', [server('t1', 1), server('t2', 2)], one), [
    'set server b/s2 addr 192.0.2.1 port 2',
    'set server b/s2 state ready',
    'set server b/s2 health down',
  ]);
});

test('a leaving server is drained only when another one answers', () => {
  const slots = [server('t1', 1, true), server('t2', 2)];
  const notYet = [state('s1', '192.0.2.1:1', 'UP'), state('s2', '192.0.2.1:2', 'DOWN')];
  assert.deepEqual(feedCommands('b', slots, notYet), []);
  const now = [state('s1', '192.0.2.1:1', 'UP'), state('s2', '192.0.2.1:2', 'UP')];
  assert.deepEqual(feedCommands('b', slots, now), ['set server b/s1 state drain']);
});

test('a slot that lost its server goes out of service once', () => {
  const up = [state('s1', '192.0.2.1:1', 'UP')];
  assert.deepEqual(feedCommands('b', [undefined], up), ['set server b/s1 state maint']);
  assert.deepEqual(feedCommands('b', [undefined], [state('s1', '192.0.2.1:1', 'MAINT')]), []);
});

test('the state of servers is read by the names of its columns', () => {
  const text =
    '# pxname,svname,status,addr\nb,FRONTEND,OPEN,\nb,s1,UP 1/2,192.0.2.1:1\nb,BACKEND,UP,\n';
  assert.deepEqual(parseStat(text), [state('s1', '192.0.2.1:1', 'UP 1/2')]);
});
