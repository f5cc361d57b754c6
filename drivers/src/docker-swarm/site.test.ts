import assert from 'node:assert/strict';
import test from 'node:test';
import { emulatesLabel, ipvsLabel } from './names.ts';
import { leaderlessSite, quorumOf, siteFacts, siteNodes } from './site.ts';
import { aNode } from './testing.ts';

const managers = (reachable: number, all: number) =>
  Array.from({ length: all }, (_, index) =>
    aNode({ id: `n${index}`, manager: { reachable: index < reachable } }),
  );

test('quorum is held while more than half of the managers are reachable', () => {
  assert.deepEqual(quorumOf(managers(3, 3)), {
    status: 'True',
    reason: 'QuorumHeld',
    message: '3 of 3 managers are reachable, 1 may be lost',
  });
  assert.match(quorumOf(managers(2, 3)).message, /0 may be lost/);
  assert.equal(quorumOf(managers(1, 3)).reason, 'QuorumLost');
});

test('an even number of managers is told of', () => {
  const verdict = quorumOf(managers(4, 4));
  assert.equal(verdict.status, 'True');
  assert.equal(verdict.reason, 'EvenManagers');
  assert.match(verdict.message, /no more losses than 3/);
});

test('architectures are those of nodes that take tasks, with what they emulate', () => {
  const facts = siteFacts([
    aNode({ id: 'a', labels: { [emulatesLabel]: 'linux/arm/v7' } }),
    aNode({ id: 'b', architecture: 'armv7l' }),
    aNode({ id: 'c', architecture: 'aarch64', availability: 'drain' }),
    aNode({ id: 'd', architecture: 'riscv64', state: 'down' }),
  ]);
  assert.deepEqual(facts.architectures, ['linux/amd64', 'linux/arm/v7']);
  assert.deepEqual(facts.emulators, [{ architecture: 'linux/amd64', emulates: ['linux/arm/v7'] }]);
});

test('one node without IPVS makes the site one without', () => {
  assert.equal(siteFacts([aNode(), aNode({ id: 'b' })]).ipvs, true);
  assert.equal(
    siteFacts([aNode(), aNode({ id: 'b', labels: { [ipvsLabel]: 'false' } })]).ipvs,
    false,
  );
});

test('a node is told with its role, state and address', () => {
  const [node] = siteNodes([aNode({ id: 'n1', name: 'phone1', manager: { leader: true } })]);
  assert.deepEqual(node, {
    name: 'phone1',
    role: 'Manager',
    availability: 'Active',
    state: 'Ready',
    leader: true,
    reachable: true,
    address: '192.0.2.1',
    architecture: 'linux/amd64',
    engine: '20.10.24',
    nodeId: 'n1',
    cpuMillis: 2000,
    memoryBytes: 1024,
  });
});

test('without a leader the site keeps what was known and says why it cannot act', () => {
  const problem = { reason: 'QuorumLost', message: 'no leader' };
  const site = leaderlessSite(undefined, true, problem);
  assert.equal(site.leads, true);
  assert.deepEqual(site.platform, { status: 'False', ...problem });
  assert.deepEqual(site.quorum, { status: 'False', ...problem });
  const deaf = leaderlessSite(undefined, false, { reason: 'EngineUnreachable', message: 'gone' });
  assert.equal(deaf.quorum?.status, 'Unknown');
});
