import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppPort, LedgerPort } from '@cloudlet/crds';
import { allocatePorts, type PortRequest } from './ports.ts';

const port = (name: string, number: number, more: Partial<AppPort> = {}): AppPort => ({
  name,
  protocol: 'TCP',
  port: number,
  ...more,
});
const taken = (publicPort: number, more: Partial<LedgerPort> = {}): LedgerPort => ({
  name: 'x',
  protocol: 'TCP',
  port: publicPort,
  publicPort,
  ...more,
});
const request = (more: Partial<PortRequest>): PortRequest => ({
  id: 'a',
  wanted: [],
  held: [],
  taken: [],
  range: { first: 10_000, last: 10_003 },
  ...more,
});
const publicPorts = (more: Partial<PortRequest>): readonly number[] => {
  const grant = allocatePorts(request(more));
  assert.equal(grant.kind, 'Granted');
  return grant.kind === 'Granted' ? grant.ports.map(({ publicPort }) => publicPort) : [];
};

test('a free port is given under its own number', () => {
  assert.deepEqual(publicPorts({ wanted: [port('http', 80)] }), [80]);
});

test('a reserved port is given under another number', () => {
  const [number = 0] = publicPorts({ wanted: [port('ssh', 22)] });
  assert.ok(number >= 10_000 && number <= 10_003);
});

test('TCP and UDP of one number do not clash', () => {
  assert.deepEqual(
    publicPorts({
      wanted: [port('a', 5000, { protocol: 'UDP' })],
      taken: [taken(5000)],
    }),
    [5000],
  );
});

test('HTTP takes a TCP port', () => {
  const [number] = publicPorts({
    wanted: [port('a', 5000, { protocol: 'HTTP' })],
    taken: [taken(5000)],
  });
  assert.notEqual(number, 5000);
});

test('internal ports get no public one', () => {
  assert.deepEqual(publicPorts({ wanted: [port('a', 5000, { internalOnly: true })] }), []);
});

test('the same question has the same answer whatever else is asked', () => {
  const wanted = [port('http', 80)];
  const first = publicPorts({ wanted, taken: [taken(80)] });
  const second = publicPorts({ wanted, taken: [taken(80), taken(9000)] });
  assert.deepEqual(first, second);
});

test('a port that is held stays though its number has become free', () => {
  assert.deepEqual(
    publicPorts({
      wanted: [port('http', 80)],
      held: [taken(10_002, { name: 'http', port: 80 })],
    }),
    [10_002],
  );
});

test('a new port does not take the one that another of the instance holds', () => {
  assert.deepEqual(
    publicPorts({
      wanted: [port('new', 10_002), port('http', 80)],
      held: [taken(10_002, { name: 'http', port: 80 })],
    })[1],
    10_002,
  );
});

test('a range is whole and within the last port', () => {
  assert.deepEqual(
    publicPorts({ wanted: [port('r', 10_002, { endPort: 10_003 })], taken: [taken(10_003)] }),
    [10_000],
  );
  assert.deepEqual(publicPorts({ wanted: [port('r', 65_534, { endPort: 65_535 })] }), [65_534]);
});

test('when no port is left the one that found none is named', () => {
  const all = [10_000, 10_001, 10_002, 10_003].map((number) => taken(number));
  assert.deepEqual(
    allocatePorts(request({ wanted: [port('http', 80)], taken: [taken(80), ...all] })),
    { kind: 'Exhausted', port: 'http' },
  );
});
