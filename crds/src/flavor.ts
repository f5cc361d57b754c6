/** Flavor: a size that an instance may ask for, by name. Immutable, since instances were placed by it. */
import { z } from 'zod';
import { rules, type KindDefinition, listMap, quantity, type Resource } from './schema.ts';

export const flavorSpec = z
  .object({
    vcpus: quantity.describe('CPUs of one replica, such as `500m` or `2`.'),
    memory: quantity.describe('Memory of one replica, such as `256Mi`.'),
    disk: quantity
      .optional()
      .describe('Disk of one replica, such as `1Gi`. None is asked for by default.'),
    gpus: z
      .array(
        z.object({
          model: z.string().min(1).max(63).describe('Model as the site reports it.'),
          count: z.int().min(1).max(64).describe('Number of GPUs of that model.'),
        }),
      )
      .max(8)
      .optional()
      .meta(listMap('model'))
      .describe('GPUs of one replica.'),
  })
  .apply(
    rules({
      rule: 'self == oldSelf',
      message: 'a Flavor cannot be changed: make another and refer to that',
    }),
  );
export type FlavorSpec = z.infer<typeof flavorSpec>;
export type Flavor = Resource<FlavorSpec, never>;

export const flavorKind: KindDefinition<typeof flavorSpec> = {
  kind: 'Flavor',
  plural: 'flavors',
  singular: 'flavor',
  shortNames: ['flv'],
  categories: ['edge'],
  scope: 'Cluster',
  description: 'A size that Apps and AppInsts ask for by name.',
  spec: flavorSpec,
  columns: [
    { name: 'vCPUs', type: 'string', jsonPath: '.spec.vcpus', description: 'CPUs of one replica' },
    {
      name: 'Memory',
      type: 'string',
      jsonPath: '.spec.memory',
      description: 'Memory of one replica',
    },
    { name: 'Disk', type: 'string', jsonPath: '.spec.disk', description: 'Disk of one replica' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
