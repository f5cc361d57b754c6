/**
 * The demo: a coffee shop of ten services with a real database and a real broker, and a panel that shows the
 * site, both as compose Apps. An order passes through all of it, also after a phone was lost.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { pushDemoImages } from '../demo/images.ts';
import { coffeeShop, demoSecrets, panel } from '../demo/objects.ts';
import { expect, noProgress, phonesUnavailable, until } from '../testbed/index.ts';
import { cloudletName, startWorld, type World } from './swarm-world.ts';
import { tellWhenFailed } from './world-told.ts';

const skip = phonesUnavailable() ?? false;
let world: World;

before(async () => {
  if (skip) return;
  // The panel looks at the engines.
  const dockerSwarm = { hostPaths: ['/var/run/docker.sock'] };
  world = await startWorld({ phones: 3, managers: 1, spec: { dockerSwarm } });
  const { registry } = world.phones;
  await pushDemoImages(registry, noProgress);
  const names = { registry, cloudlet: cloudletName };
  // Only in organizations may the operator read a tenant's Secrets.
  await world.kubectl('label', 'namespace', 'default', 'edge.cloudlet.dev/organization=true');
  await world.apply(...demoSecrets());
  for (const input of [coffeeShop(names), panel(names)])
    await world.controlPlane.kubectl(['apply', '-f', '-'], { input });
});

after(async () => world?.[Symbol.asyncDispose]());
afterEach((context) => tellWhenFailed(context, world));

interface Order {
  readonly id: number;
  readonly state: string;
  readonly madeBy?: string;
}

async function shop<T>(path: string, init: RequestInit = {}): Promise<T> {
  const { status } = await world.appInst('coffee');
  const url = new URL(path, status?.uri);
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
  expect(response.ok, `${url.href} answers ${response.status}: ${await response.clone().text()}`);
  return (await response.json()) as T;
}

/** Orders and waits until it was made, went through the broker, and is back in the database. */
async function orderedAndReady(item: string): Promise<Order> {
  const placed = await until('an order to be taken', 90_000, () =>
    shop<Order>('/api/orders', {
      method: 'POST',
      body: JSON.stringify({ item, customer: 'test' }),
    }),
  );
  return until(`order ${placed.id} to be ready`, 60_000, async () => {
    const order = await shop<Order>(`/api/orders/${placed.id}`);
    expect(order.state === 'ready', `it is ${order.state}`);
    return order;
  });
}

test('the shop becomes Ready and its page answers', { skip }, async () => {
  const appInst = await world.waitReady('coffee', 180);
  const page = await (await fetch(appInst.status?.uri ?? '')).text();
  assert.match(page, /<h1>Coffee at phones<\/h1>/);
});

test('an order passes through the broker into the database and back', { skip }, async () => {
  const drink = await orderedAndReady('espresso');
  const food = await orderedAndReady('sandwich');
  assert.ok(drink.madeBy && food.madeBy);
  assert.notEqual(drink.madeBy, food.madeBy);
});

test('orders go on after a phone is lost', { skip }, async () => {
  const before = await orderedAndReady('filter');
  const lost = world.phones.phones[2];
  await lost?.powerOff();
  const after = await orderedAndReady('filter');
  assert.ok(after.id > before.id, 'the database lost orders');
  await lost?.boot();
});

test('the panel lists every node and its tasks, for who knows the password', { skip }, async () => {
  const { status } = await world.waitReady('panel', 120);
  const url = new URL('/api/nodes', status?.uri).href;
  assert.equal(new URL(url).port, '9000');
  assert.equal((await fetch(url)).status, 401);
  const secret = JSON.parse(await world.kubectl('get', 'secret', 'panel', '-o', 'json')) as {
    data: { password: string };
  };
  const password = Buffer.from(secret.data.password, 'base64').toString();
  const authorization = `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`;
  await until('the panel to see all nodes', 90_000, async () => {
    const response = await fetch(url, { headers: { authorization } });
    const nodes = (await response.json()) as { name: string; containers?: { stack: string }[] }[];
    const names = nodes.filter(({ containers }) => containers?.length).map(({ name }) => name);
    assert.deepEqual(
      names,
      world.phones.phones.map(({ name }) => name),
    );
  });
});
