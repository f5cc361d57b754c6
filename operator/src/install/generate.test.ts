import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appInstStatus, cloudletStatus } from '@cloudlet/crds';
import { accesses, processes } from './accesses.ts';
import { auditRules } from './audit.ts';
import { manifestFiles, staleFiles } from './generate.ts';
import { siteOperatorFields } from './wall.ts';

const all = [...manifestFiles()]
  .filter(([path]) => !path.includes('/processes/'))
  .flatMap(([, manifests]) => manifests);

interface RoleRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}
const roles = all.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole');
const rulesOf = (role: (typeof roles)[number]) => role['rules'] as readonly RoleRule[];

test('the manifests in the repository are what the sources give', async () => {
  assert.deepEqual(await staleFiles(), []);
});

test('no two manifests are of the same object, but for what takes the place of another', () => {
  const standing = [...manifestFiles()]
    .filter(([path]) => !/\/(processes|constrained)\//.test(path))
    .flatMap(([, manifests]) => manifests);
  const names = standing.map(
    ({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`,
  );
  assert.equal(new Set(names).size, names.length);
});

test('no role has a wildcard', () => {
  for (const role of roles)
    for (const { apiGroups, resources, verbs } of rulesOf(role))
      assert.ok(![...apiGroups, ...resources, ...verbs].includes('*'), role.metadata.name);
});

test('the audit policy writes down no body of a Secret, and leaves nothing of ours to chance', () => {
  for (const { level, resources = [] } of auditRules)
    for (const { group, resources: names = [] } of resources)
      if (group === '' && names.includes('secrets')) assert.equal(level, 'Metadata');
  const last = auditRules.at(-1);
  assert.deepEqual(last, { level: 'None' });
  const bodies = auditRules.filter(({ level }) => level === 'RequestResponse');
  assert.deepEqual(
    bodies.flatMap(({ resources = [] }) => resources.map(({ group }) => group)),
    ['edge.cloudlet.dev'],
  );
});

test('only the hub impersonates, and only names of cloudlet-sites', () => {
  const found = roles.filter((role) =>
    rulesOf(role).some(({ verbs }) => verbs.includes('impersonate')),
  );
  assert.deepEqual(
    found.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
    ['Role cloudlet-sites/cloudlet-hub'],
  );
});

test('no process reads Secrets or ConfigMaps cluster-wide', () => {
  for (const process of processes)
    for (const access of accesses[process])
      if (access.in === 'cluster' && access.group === '')
        assert.deepEqual(
          access.resources.filter((resource) => resource !== 'namespaces'),
          [],
        );
});

test('every field of a status is either the agents or guarded for the operator', () => {
  assert.deepEqual(
    [...siteOperatorFields.appinsts].sort(),
    Object.keys(appInstStatus.shape)
      .filter(
        (field) =>
          !['site', 'instances', 'backends', 'warnings', 'progress', 'conditions'].includes(field),
      )
      .sort(),
  );
  assert.deepEqual(
    [...siteOperatorFields.cloudlets].sort(),
    Object.keys(cloudletStatus.shape)
      .filter((field) => !['site', 'conditions'].includes(field))
      .sort(),
  );
});

test('every policy has a binding that denies', () => {
  const policies = all.filter(({ kind }) => kind === 'ValidatingAdmissionPolicy');
  const bindings = all.filter(({ kind }) => kind === 'ValidatingAdmissionPolicyBinding');
  assert.deepEqual(
    bindings.map(({ spec }) => spec),
    policies.map(({ metadata }) => ({ policyName: metadata.name, validationActions: ['Deny'] })),
  );
  for (const { metadata, spec } of policies)
    assert.equal((spec as { failurePolicy: string }).failurePolicy, 'Fail', metadata.name);
});
