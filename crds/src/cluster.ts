/** Cluster: a part of a site that instances run in. On a swarm: node labels, a network, a resource bound. */
import { z } from 'zod';
import {
  rules,
  conditions,
  observedGeneration,
  dnsLabel,
  type KindDefinition,
  listMap,
  listSet,
  objectName,
  quantity,
  type Resource,
} from './schema.ts';

export const clusterSpec = z
  .object({
    cloudletRef: z
      .object({ name: objectName(40).describe('Name of the Cloudlet.') })
      .describe('The site that the cluster is a part of. Cannot be changed.'),
    deployment: z
      .enum(['Docker'])
      .describe('What instances in it are: Docker runs containers. Cannot be changed.'),
    nodeLabels: z
      .array(
        z.object({
          name: z
            .string()
            .min(1)
            .max(63)
            .regex(/^[a-zA-Z0-9][-._a-zA-Z0-9]*$/)
            .describe('Name of the label.'),
          value: z
            .string()
            .max(63)
            .regex(/^[-._a-zA-Z0-9]*$/)
            .describe('Value of the label.'),
        }),
      )
      .max(8)
      .optional()
      .meta(listMap('name'))
      .describe(
        'Labels that a node of the swarm must have to run tasks of the cluster. Default: every node.',
      ),
    networks: z
      .object({
        encrypted: z
          .boolean()
          .optional()
          .describe(
            "Encrypt the cluster's network and those of its instances between nodes (IPsec). Cannot be changed. Default: as the Cloudlet's dockerSwarm.overlayEncrypted.",
          ),
      })
      .optional()
      .describe('How instances of the cluster reach each other: they share an overlay network.'),
    resources: z
      .object({
        vcpus: quantity.optional().describe('CPUs in all.'),
        memory: quantity.optional().describe('Memory in all.'),
      })
      .optional()
      .describe('The most that instances of the cluster may reserve together.'),
    multiTenant: z
      .boolean()
      .optional()
      .describe('Whether other namespaces may place instances in it. Default false.'),
    allowedNamespaces: z
      .array(dnsLabel())
      .max(256)
      .optional()
      .meta(listSet)
      .describe('Namespaces that may, where multiTenant is true.'),
  })
  .apply(
    rules(
      {
        rule: 'self.cloudletRef == oldSelf.cloudletRef',
        message: 'cloudletRef cannot be changed',
        fieldPath: '.cloudletRef',
      },
      {
        rule: 'self.deployment == oldSelf.deployment',
        message: 'deployment cannot be changed',
        fieldPath: '.deployment',
      },
      {
        rule: 'self.?networks.?encrypted == oldSelf.?networks.?encrypted',
        message: 'networks.encrypted cannot be changed: make another Cluster',
        fieldPath: '.networks',
      },
      {
        rule: '!has(self.allowedNamespaces) || (has(self.multiTenant) && self.multiTenant)',
        message: 'allowedNamespaces needs multiTenant: true',
        holds: (cluster) => !cluster.allowedNamespaces || cluster.multiTenant === true,
        fieldPath: '.allowedNamespaces',
      },
    ),
  );
export type ClusterSpec = z.infer<typeof clusterSpec>;

export const clusterStatus = z.object({
  observedGeneration: observedGeneration('The generation that the status was derived from.'),
  instances: z.int().min(0).optional().describe('Instances in it.'),
  conditions: conditions.optional(),
});
export type ClusterStatus = z.infer<typeof clusterStatus>;
export type Cluster = Resource<ClusterSpec, ClusterStatus>;

/** Stalled is present, and True, only while it needs a person to become Ready (kstatus). */
export const clusterConditions = { Ready: 'Ready', Stalled: 'Stalled' } as const;
export const clusterReasons = {
  Ready: 'Ready',
  CloudletNotFound: 'CloudletNotFound',
  CloudletNotReady: 'CloudletNotReady',
  InUse: 'InUse',
} as const;

export const clusterKind: KindDefinition<typeof clusterSpec, typeof clusterStatus> = {
  kind: 'Cluster',
  plural: 'clusters',
  singular: 'cluster',
  shortNames: ['ecl'],
  categories: ['edge'],
  scope: 'Namespaced',
  description: 'A part of a site that instances run in.',
  spec: clusterSpec,
  status: clusterStatus,
  selectableFields: ['.spec.cloudletRef.name'],
  columns: [
    { name: 'Cloudlet', type: 'string', jsonPath: '.spec.cloudletRef.name', description: 'Site' },
    {
      name: 'Deployment',
      type: 'string',
      jsonPath: '.spec.deployment',
      description: 'Kind of instances',
    },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].status",
      description: 'Whether it takes instances',
    },
    {
      name: 'Reason',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].reason",
      description: 'Why',
    },
    {
      name: 'Instances',
      type: 'integer',
      jsonPath: '.status.instances',
      description: 'Instances in it',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
