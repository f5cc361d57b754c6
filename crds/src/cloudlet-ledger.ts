/**
 * CloudletLedger: what a site has given away. One object a site, of the same name as its Cloudlet, written
 * by the operator alone, always by replace with resourceVersion: that is the fence against a paused leader.
 * All of it is in `spec`, so that backups keep it.
 */
import { z } from 'zod';
import { dateTime, type KindDefinition, listMap, portNumber, type Resource } from './schema.ts';
import { instanceId } from './plan.ts';

export const ledgerPort = z.object({
  name: z.string().max(15).describe('Name of the port in the App.'),
  protocol: z.enum(['TCP', 'UDP']).describe('Transport; HTTP ports are TCP.'),
  port: portNumber.describe('Port of the container.'),
  publicPort: portNumber.describe('Port at the site; first of a range.'),
  count: z.int().min(1).max(1000).optional().describe('Ports of a range. Default 1.'),
});
export type LedgerPort = z.infer<typeof ledgerPort>;

export const ledgerEntry = z.object({
  id: instanceId.describe('Instance id.'),
  namespace: z.string().max(63).describe('Namespace of the AppInst.'),
  name: z.string().max(63).describe('Name of the AppInst.'),
  cluster: z.string().max(127).optional().describe('Cluster, as namespace/name.'),
  sequence: z.int().min(1).describe('Sequence of the present plan.'),
  inputs: z
    .string()
    .max(64)
    .optional()
    .describe('Hash of what the plan was made of; a change raises the sequence.'),
  cpuMillis: z.int().min(0).optional().describe('CPUs reserved by all replicas, in thousandths.'),
  memoryBytes: z.int().min(0).optional().describe('Memory reserved by all replicas, in bytes.'),
  diskBytes: z.int().min(0).optional().describe('Disk reserved by all replicas, in bytes.'),
  ports: z.array(ledgerPort).max(200).optional().meta(listMap('name')).describe('Public ports.'),
  releasing: z
    .array(ledgerPort)
    .max(200)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .describe(
      'Ports that the plan no longer has; taken until the site says that it runs the present one.',
    ),
});
export type LedgerEntry = z.infer<typeof ledgerEntry>;

export const ledgerTombstone = z.object({
  id: instanceId.describe('Instance id.'),
  sequence: z
    .int()
    .min(1)
    .describe('Sequence of the removal; higher than that of any plan before it.'),
  reason: z
    .enum(['Deleted', 'Moved', 'Abandoned', 'Orphaned'])
    .describe('Why. Orphaned: the site told of it, while it is placed elsewhere or deleted.'),
  deleteVolumes: z.boolean().optional().describe('Named volumes go too.'),
  since: dateTime.describe('When it was written.'),
  ports: z
    .array(ledgerPort)
    .max(200)
    .optional()
    .meta(listMap('name'))
    .describe('Ports that stay taken until the site says that the instance is gone.'),
});
export type LedgerTombstone = z.infer<typeof ledgerTombstone>;

export const cloudletLedgerSpec = z.object({
  cloudletId: instanceId.describe('Instance id of the Cloudlet.'),
  sequence: z.int().min(0).describe('Highest sequence given out at the site.'),
  entries: z
    .array(ledgerEntry)
    .max(2000)
    .optional()
    .meta(listMap('id'))
    .describe('Instances placed at the site.'),
  tombstones: z
    .array(ledgerTombstone)
    .max(2000)
    .optional()
    .meta(listMap('id'))
    .describe('Instances that the site must remove.'),
});
export type CloudletLedgerSpec = z.infer<typeof cloudletLedgerSpec>;
export type CloudletLedger = Resource<CloudletLedgerSpec, never>;

export const cloudletLedgerKind: KindDefinition<typeof cloudletLedgerSpec> = {
  kind: 'CloudletLedger',
  plural: 'cloudletledgers',
  singular: 'cloudletledger',
  shortNames: ['cll'],
  categories: [],
  scope: 'Cluster',
  description:
    'What a site has given away: ports, capacity, sequences, tombstones. Written by the operator alone.',
  spec: cloudletLedgerSpec,
  columns: [
    {
      name: 'Sequence',
      type: 'integer',
      jsonPath: '.spec.sequence',
      description: 'Highest sequence',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
