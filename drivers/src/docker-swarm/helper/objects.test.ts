/** Which authorities and which certificate count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aNode } from '../testing.ts';
import { type Authority, type Certificate, trusted, usable } from './objects.ts';

const anAuthority = (change: Partial<Authority> = {}): Authority => ({
  ...{ id: 'id-1', name: 'authority-1', node: 'node-1', index: 10, pem: 'PEM' },
  ...change,
});

const aCertificate = (change: Partial<Certificate> = {}): Certificate => ({
  ...{ id: 'id-1', name: 'helper-1', issuer: 'authority-1', renewAt: 1_000, index: 10 },
  ...change,
});

const names = (found: readonly { readonly name: string }[]): readonly string[] =>
  found.map(({ name }) => name);

test('the authorities of managers are trusted, not that of a worker or of a node that left', () => {
  const nodes = [aNode({ id: 'a', manager: {} }), aNode({ id: 'b', manager: { leader: true } })];
  const worker = aNode({ id: 'c' });
  const all = ['d', 'c', 'b', 'a'].map((node) => anAuthority({ node, name: `of-${node}` }));
  assert.deepEqual(names(trusted(all, [...nodes, worker])), ['of-a', 'of-b']);
});

test('of two authorities of a node the younger one is trusted', () => {
  const nodes = [aNode({ id: 'node-1', manager: {} })];
  const old = anAuthority({ name: 'zz-old', index: 3 });
  const young = anAuthority({ name: 'aa-young', index: 12 });
  assert.deepEqual(names(trusted([young, old], nodes)), ['aa-young']);
});

test('the certificate in use stays while it is good', () => {
  const issuers = [anAuthority()];
  const all = [aCertificate({ name: 'in-use', index: 1 }), aCertificate({ name: 'newer' })];
  assert.equal(usable(all, { issuers, inUse: 'in-use', now: 999 })?.name, 'in-use');
  assert.equal(usable(all, { issuers, inUse: undefined, now: 999 })?.name, 'newer');
});

test('a certificate is not good when its time to be renewed has come, or its issuer is not trusted', () => {
  const issuers = [anAuthority()];
  const of = { issuers, inUse: 'helper-1', now: 1_000 };
  assert.equal(usable([aCertificate()], of), undefined);
  const foreign = aCertificate({ issuer: 'of-a-manager-that-left' });
  assert.equal(usable([foreign], { ...of, now: 1 }), undefined);
});

test('another certificate of a member that was replaced is taken, not made anew', () => {
  const issuers = [anAuthority({ name: 'of-a' }), anAuthority({ name: 'of-b' })];
  const all = [aCertificate({ name: 'by-c', issuer: 'of-c' }), aCertificate({ issuer: 'of-b' })];
  assert.equal(usable(all, { issuers, inUse: 'by-c', now: 1 })?.name, 'helper-1');
});
