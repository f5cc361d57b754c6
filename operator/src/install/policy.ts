/** A ValidatingAdmissionPolicy with its binding: failing closed, refusing with 403 and one sentence. */
import { type Manifest, manifest } from './manifest.ts';

export interface Rule {
  /** CEL that must hold. */
  readonly expression: string;
  readonly message: string;
  /** CEL that gives the sentence, where it needs a value. */
  readonly messageExpression?: string;
}

export interface Policy {
  readonly name: string;
  readonly match: {
    readonly groups: readonly string[];
    readonly versions: readonly string[];
    readonly resources: readonly string[];
    readonly operations: readonly ('CREATE' | 'UPDATE' | 'DELETE')[];
  };
  /** All must hold for the policy to apply. */
  readonly conditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly variables?: readonly { readonly name: string; readonly expression: string }[];
  readonly rules: readonly Rule[];
}

const admission = 'admissionregistration.k8s.io/v1';

export function policy(given: Policy): readonly Manifest[] {
  const { name, match, conditions, variables, rules } = given;
  return [
    manifest(
      admission,
      'ValidatingAdmissionPolicy',
      { name },
      {
        spec: {
          failurePolicy: 'Fail',
          matchConstraints: {
            resourceRules: [
              {
                apiGroups: match.groups,
                apiVersions: match.versions,
                operations: match.operations,
                resources: match.resources,
              },
            ],
          },
          ...(conditions ? { matchConditions: conditions } : {}),
          ...(variables ? { variables } : {}),
          validations: rules.map((rule) => ({ ...rule, reason: 'Forbidden' })),
        },
      },
    ),
    manifest(
      admission,
      'ValidatingAdmissionPolicyBinding',
      { name },
      { spec: { policyName: name, validationActions: ['Deny'] } },
    ),
  ];
}
