/** The health checks on every state of every kind; `npm run e2e:argocd` runs them in Argo CD itself. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  appInstReasons,
  clusterReasons,
  cloudletReasons,
  kinds,
  type Resource,
} from '@cloudlet/crds';
import { parse } from 'yaml';
import { healthCases } from './cases.ts';
import { folderOf, scriptOf, staleFiles } from './generate.ts';
import { runHealthCheck } from './lua.ts';

type AnyResource = Resource<unknown, { readonly conditions?: readonly { reason: string }[] }>;

test('test data and configuration are what the sources give', async () => {
  assert.deepEqual(await staleFiles(), []);
});

for (const { kind } of kinds) {
  const root = new URL(`../../../${folderOf(kind)}/`, import.meta.url);
  const { tests } = parse(readFileSync(new URL('health_test.yaml', root), 'utf8')) as {
    tests: { inputPath: string; healthStatus: { status: string; message: string } }[];
  };
  assert.ok(tests.length > 0, `${kind} has no test data`);
  for (const { inputPath, healthStatus } of tests)
    test(`health of ${kind} ${inputPath}`, () => {
      const object = parse(readFileSync(new URL(inputPath, root), 'utf8')) as object;
      assert.deepEqual(runHealthCheck(scriptOf(kind), object), healthStatus);
    });
}

test('the test data are objects that the API takes', () => {
  for (const definition of kinds)
    for (const { name, object } of healthCases.filter(({ kind }) => kind === definition.kind)) {
      const { spec, status } = object as AnyResource;
      const schemas = [
        [definition.spec, spec],
        ...(definition.status ? [[definition.status, status] as const] : []),
      ] as const;
      for (const [schema, value] of schemas)
        assert.equal(schema.safeParse(value).error, undefined, `${definition.kind} ${name}`);
    }
});

test('only what kstatus calls failed, and a site that is cut off, is Degraded', () => {
  for (const { kind, name, health, kstatus } of healthCases) {
    const isCutOff = kind === 'Cloudlet' && name === 'cut-off';
    assert.equal(health === 'Degraded', kstatus === 'Failed' || isCutOff, `${kind} ${name}`);
  }
});

test('what kstatus calls current is neither Progressing nor Degraded', () => {
  for (const { kind, name, health, kstatus } of healthCases)
    if (kstatus === 'Current')
      assert.ok(['Healthy', 'Suspended'].includes(health), `${kind} ${name}`);
});

test('a generation that the operator has not seen is Progressing, whatever the conditions say', () => {
  for (const { kind, name, object } of healthCases) {
    const resource = object as AnyResource;
    if (resource.status === undefined) continue; // it has none
    const metadata = { ...resource.metadata, generation: 99 };
    const { status, message } = runHealthCheck(scriptOf(kind), { ...resource, metadata });
    assert.equal(status, 'Progressing', `${kind} ${name}`);
    assert.equal(message, 'The operator has not looked at it yet.');
  }
});

test('a reason that a check names is one that the kind has', () => {
  const known = new Set<string>([
    ...Object.values(appInstReasons),
    ...Object.values(cloudletReasons),
    ...Object.values(clusterReasons),
  ]);
  for (const { kind } of kinds)
    for (const [, reason = ''] of scriptOf(kind).matchAll(/\.reason == "(\w+)"/g))
      assert.ok(known.has(reason), `${kind}: ${reason}`);
});
