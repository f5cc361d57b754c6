/** Zone: a named place that developers target; Cloudlets belong to one. */
import { z } from 'zod';
import {
  conditions,
  dnsLabel,
  type KindDefinition,
  observedGeneration,
  type Resource,
} from './schema.ts';

export const zoneSpec = z.object({
  operator: dnsLabel().describe('The organization that runs the sites of the zone.'),
  description: z.string().max(1024).optional().describe('What the place is, for people.'),
});
export type ZoneSpec = z.infer<typeof zoneSpec>;

export const zoneStatus = z.object({
  observedGeneration: observedGeneration('The generation that the status was derived from.'),
  cloudlets: z.int().min(0).optional().describe('Sites of the zone.'),
  ready: z.int().min(0).optional().describe('Sites of the zone that are Ready.'),
  conditions: conditions.optional(),
});
export type ZoneStatus = z.infer<typeof zoneStatus>;
export type Zone = Resource<ZoneSpec, ZoneStatus>;

export const zoneKind: KindDefinition<typeof zoneSpec, typeof zoneStatus> = {
  kind: 'Zone',
  plural: 'zones',
  singular: 'zone',
  shortNames: ['zn'],
  categories: ['edge'],
  scope: 'Cluster',
  description: 'A named place that developers target. The operator picks one of its Cloudlets.',
  spec: zoneSpec,
  status: zoneStatus,
  columns: [
    { name: 'Operator', type: 'string', jsonPath: '.spec.operator', description: 'Organization' },
    { name: 'Cloudlets', type: 'integer', jsonPath: '.status.cloudlets', description: 'Sites' },
    {
      name: 'Ready',
      type: 'integer',
      jsonPath: '.status.ready',
      description: 'Sites that are Ready',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
