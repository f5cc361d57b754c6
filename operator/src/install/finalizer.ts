/**
 * The AppInst's finalizer from its first moment on.
 *
 * A deletion that the API server began before the operator wrote its finalizer passes it, and what the site
 * was told meanwhile would run on. Here the API server itself sets it as it stores the object. It is no wall:
 * where the policy cannot be evaluated, or is not there, the operator sets the finalizer as it always did. The
 * API server refuses AppInsts as unavailable for up to 5 s after their kind came, since it looks that often
 * for the schemas that mutating policies need.
 */
import { apiGroup, apiVersion, finalizers } from '@cloudlet/crds';
import { type Manifest, manifest } from './manifest.ts';

const name = 'cloudlet-appinst-finalizer';
/** In Kubernetes from 1.36 on. */
const admission = 'admissionregistration.k8s.io/v1';
const held = '(has(object.metadata.finalizers) ? object.metadata.finalizers : [])';

export function finalizerManifests(): readonly Manifest[] {
  const spec = {
    failurePolicy: 'Ignore',
    reinvocationPolicy: 'IfNeeded',
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: [apiGroup],
          apiVersions: [apiVersion],
          operations: ['CREATE'],
          resources: ['appinsts'],
        },
      ],
    },
    matchConditions: [{ name: 'lacks-it', expression: `!('${finalizers.appinst}' in ${held})` }],
    mutations: [
      {
        patchType: 'JSONPatch',
        jsonPatch: {
          expression: `[JSONPatch{op: "add", path: "/metadata/finalizers", value: ${held} + ["${finalizers.appinst}"]}]`,
        },
      },
    ],
  };
  return [
    manifest(admission, 'MutatingAdmissionPolicy', { name }, { spec }),
    manifest(admission, 'MutatingAdmissionPolicyBinding', { name }, { spec: { policyName: name } }),
  ];
}
