/** The CustomResourceDefinition of a kind. */
import { apiGroup, apiVersion, celOf, type KindDefinition } from '../schema.ts';
import { lower } from './lower.ts';

export function manifestOf(kind: KindDefinition): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${apiGroup}` },
    spec: {
      group: apiGroup,
      scope: kind.scope,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
        ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
      },
      versions: [versionOf(kind)],
    },
  };
}

function versionOf(kind: KindDefinition): object {
  return {
    name: apiVersion,
    served: true,
    storage: true,
    ...(kind.selectableFields
      ? { selectableFields: kind.selectableFields.map((jsonPath) => ({ jsonPath })) }
      : {}),
    additionalPrinterColumns: kind.columns,
    ...(kind.status || kind.scale ? { subresources: subresourcesOf(kind) } : {}),
    schema: {
      openAPIV3Schema: {
        type: 'object',
        description: kind.description,
        required: ['spec'],
        ...(kind.rules ? { 'x-kubernetes-validations': kind.rules.map(celOf) } : {}),
        properties: {
          apiVersion: { type: 'string' },
          kind: { type: 'string' },
          metadata: { type: 'object' },
          spec: { ...lower(kind.spec, 'spec'), description: `What the ${kind.kind} shall be.` },
          ...(kind.status
            ? {
                status: {
                  ...lower(kind.status, 'status'),
                  description: 'What was observed.',
                  // Without a status, kstatus takes an object for one that is as it should be.
                  default: { observedGeneration: -1 },
                },
              }
            : {}),
        },
      },
    },
  };
}

function subresourcesOf(kind: KindDefinition): object {
  return {
    ...(kind.status ? { status: {} } : {}),
    ...(kind.scale
      ? {
          scale: {
            specReplicasPath: kind.scale.specPath,
            statusReplicasPath: kind.scale.statusPath,
            ...(kind.scale.selectorPath ? { labelSelectorPath: kind.scale.selectorPath } : {}),
          },
        }
      : {}),
  };
}
