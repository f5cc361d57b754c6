/**
 * Admission policies for people and for the operator: who may target which site, who may let one go, who
 * writes ledgers.
 *
 * Guarantees: rights are RBAC verbs on our kinds (`use`, `abandon`, `restore`), asked by name when a
 * reference or an annotation is set or changed, so that what stands is never refused later.
 */
import { annotations, apiGroup, apiVersion, labels, namespaces } from '@cloudlet/crds';
import { tenantBinding, tenantRole } from '../controllers/organization/reconcile.ts';
import { accountOf, userOf } from './accesses.ts';
import { type Manifest } from './manifest.ts';
import { policy, type Rule } from './policy.ts';

const check = (plural: string, name: string, verb: string): string =>
  `authorizer.group('${apiGroup}').resource('${plural}').name(${name}).check('${verb}').allowed()`;

const match = (
  resources: readonly string[],
  operations: readonly ('CREATE' | 'UPDATE' | 'DELETE')[],
) => ({ groups: [apiGroup], versions: [apiVersion], resources, operations });

const byOperator = `request.userInfo.username == '${userOf('operator')}'`;

/** The reference is absent, was there before, or the caller may use what it names. */
function mayUse(field: 'zoneRef' | 'cloudletRef', plural: string): Rule {
  const unchanged = `oldObject != null && has(oldObject.spec.${field}) && oldObject.spec.${field} == object.spec.${field}`;
  const name = `object.spec.${field}.name`;
  return {
    expression: `!has(object.spec.${field}) || (${unchanged}) || ${check(plural, name, 'use')}`,
    message: `spec.${field}: you may not use that one`,
    messageExpression: `'spec.${field}: you may not use ' + ${name} + ': the verb use on ${plural} of that name is needed'`,
  };
}

function usePolicies(): readonly Manifest[] {
  return [
    ...policy({
      name: 'cloudlet-use-appinsts',
      match: match(['appinsts'], ['CREATE', 'UPDATE']),
      rules: [mayUse('zoneRef', 'zones'), mayUse('cloudletRef', 'cloudlets')],
    }),
    ...policy({
      name: 'cloudlet-use-clusters',
      match: match(['clusters'], ['CREATE', 'UPDATE']),
      rules: [mayUse('cloudletRef', 'cloudlets')],
    }),
  ];
}

const annotationOf = (object: string, key: string): string =>
  `(${object} != null && has(${object}.metadata.annotations) && '${key}' in ${object}.metadata.annotations ? ${object}.metadata.annotations['${key}'] : '')`;

function annotationPolicies(): readonly Manifest[] {
  const abandon = annotationOf('object', annotations.abandon);
  const id = annotations.instanceId;
  return [
    ...(['appinsts', 'cloudlets'] as const).flatMap((plural) =>
      policy({
        name: `cloudlet-abandon-${plural}`,
        match: match([plural], ['CREATE', 'UPDATE']),
        conditions: [
          {
            name: 'abandons',
            expression: `${abandon} != '' && ${abandon} != ${annotationOf('oldObject', annotations.abandon)}`,
          },
        ],
        rules: [
          {
            expression: `authorizer.group('${apiGroup}').resource('${plural}')${plural === 'appinsts' ? '.namespace(object.metadata.namespace)' : ''}.name(object.metadata.name).check('abandon').allowed()`,
            message: `${annotations.abandon} leaves what runs at a site behind: the verb abandon on ${plural} is needed`,
          },
        ],
      }),
    ),
    ...policy({
      name: 'cloudlet-instance-id',
      match: match(['appinsts', 'cloudlets'], ['UPDATE']),
      conditions: [{ name: 'not-the-operator', expression: `!(${byOperator})` }],
      rules: [
        {
          expression: `${annotationOf('object', id)} == ${annotationOf('oldObject', id)}`,
          message: `${id} is what the site knows the object by; it cannot be changed`,
        },
      ],
    }),
  ];
}

/** A ledger that is lost or wrong makes two instances share a port, so people only restore one. */
function ledgerPolicies(): readonly Manifest[] {
  const mayRestore = check('cloudletledgers', 'request.name', 'restore');
  return policy({
    name: 'cloudlet-ledgers',
    match: match(['cloudletledgers'], ['CREATE', 'UPDATE', 'DELETE']),
    conditions: [{ name: 'not-the-operator', expression: `!(${byOperator})` }],
    rules: [
      {
        expression: "request.operation != 'UPDATE' || object.spec == oldObject.spec",
        message: 'a CloudletLedger is written by the operator alone',
      },
      {
        expression: `request.operation == 'UPDATE' || ${mayRestore}`,
        message:
          'a CloudletLedger is made and deleted by the operator, or by who has the verb restore',
      },
    ],
  });
}

/** With `bind` and `create` alone the operator could read any namespace's Secrets. */
function bindingPolicies(): readonly Manifest[] {
  const label = `'${labels.organization}'`;
  return policy({
    name: 'cloudlet-operator-bindings',
    match: {
      groups: ['rbac.authorization.k8s.io'],
      versions: ['v1'],
      resources: ['rolebindings'],
      operations: ['CREATE', 'UPDATE'],
    },
    conditions: [{ name: 'the-operator', expression: byOperator }],
    rules: [
      {
        expression: `object.metadata.name == '${tenantBinding}' && object.roleRef.kind == 'ClusterRole' && object.roleRef.name == '${tenantRole}'`,
        message: `the operator binds ${tenantRole} only`,
      },
      {
        expression: `has(object.subjects) && object.subjects.all(s, s.kind == 'ServiceAccount' && s.namespace == '${namespaces.system}' && s.name == '${accountOf('operator')}')`,
        message: 'the operator binds to itself only',
      },
      {
        expression: `has(namespaceObject.metadata.labels) && ${label} in namespaceObject.metadata.labels && namespaceObject.metadata.labels[${label}] == 'true'`,
        message: `the operator binds in namespaces labelled ${labels.organization}=true only`,
      },
    ],
  });
}

export function policyManifests(): readonly Manifest[] {
  return [...usePolicies(), ...annotationPolicies(), ...ledgerPolicies(), ...bindingPolicies()];
}
