/** AppInst: one instance of an App at one site. */
import { z } from 'zod';
import {
  rules,
  conditions,
  observedGeneration,
  dateTime,
  dnsLabel,
  type KindDefinition,
  listAtomic,
  listMap,
  listSet,
  objectName,
  portNumber,
  type Resource,
} from './schema.ts';

export const appInstSpec = z
  .object({
    appRef: z
      .object({ name: objectName().describe('Name of the App, in the same namespace.') })
      .describe('The App to run. Cannot be changed.'),
    clusterRef: z
      .object({
        name: objectName().describe('Name of the Cluster.'),
        namespace: dnsLabel()
          .optional()
          .describe(
            'Its namespace, where that is multi-tenant and allows this one. Default: the own one.',
          ),
      })
      .optional()
      .describe('Run in this Cluster. Exactly one of clusterRef, cloudletRef and zoneRef.'),
    cloudletRef: z
      .object({ name: objectName(40).describe('Name of the Cloudlet.') })
      .optional()
      .describe('Run at this site. Exactly one of clusterRef, cloudletRef and zoneRef.'),
    zoneRef: z
      .object({ name: objectName().describe('Name of the Zone.') })
      .optional()
      .describe(
        'Run at the best site of this Zone. Exactly one of clusterRef, cloudletRef and zoneRef.',
      ),
    replicas: z
      .int()
      .min(0)
      .max(1000)
      .optional()
      .describe(
        'Replicas of an image; of a compose file it scales nothing and must be left out. Default 1.',
      ),
    flavorRef: z
      .object({ name: objectName().describe('Name of the Flavor.') })
      .optional()
      .describe("Size of one replica. Default: the App's."),
    env: z
      .array(
        z.object({
          name: z
            .string()
            .min(1)
            .max(253)
            .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
            .describe('Name of the variable.'),
          value: z.string().max(32_768).describe('Its value; templates are filled in.'),
        }),
      )
      .max(256)
      .optional()
      .meta(listMap('name'))
      .describe("Variables of this instance; they win over the App's."),
    powerState: z
      .enum(['On', 'Off'])
      .optional()
      .describe(
        'Off stops the workload and keeps its volumes and ports. Write it in quotes: YAML reads a bare Off as false. Default On.',
      ),
    suspend: z
      .boolean()
      .optional()
      .describe('Stop reconciling: what runs is left as it is. Default false.'),
    rollout: z
      .enum(['Automatic', 'Manual'])
      .optional()
      .describe(
        'Automatic: a changed App rolls out at once. Manual: it waits, and UpdateAvailable says so, until rolloutRevision names it. Default Automatic.',
      ),
    rolloutRevision: z
      .string()
      .max(253)
      .optional()
      .describe(
        'With rollout Manual: the revision of the App to run. Default: the one it was placed with.',
      ),
  })
  .apply(
    rules(
      {
        rule: '[has(self.clusterRef), has(self.cloudletRef), has(self.zoneRef)].filter(x, x).size() == 1',
        message: 'exactly one of clusterRef, cloudletRef and zoneRef is wanted',
        holds: (inst) =>
          [inst.clusterRef, inst.cloudletRef, inst.zoneRef].filter(Boolean).length === 1,
      },
      {
        rule: 'self.appRef == oldSelf.appRef',
        message: 'appRef cannot be changed: make another AppInst',
        fieldPath: '.appRef',
      },
      {
        rule: "!has(self.rolloutRevision) || (has(self.rollout) && self.rollout == 'Manual')",
        message: 'rolloutRevision needs rollout: Manual',
        holds: (inst) => inst.rolloutRevision === undefined || inst.rollout === 'Manual',
        fieldPath: '.rolloutRevision',
      },
    ),
  );
export type AppInstSpec = z.infer<typeof appInstSpec>;

export const taskStatus = z.object({
  name: z.string().max(253).describe('Name of the task or container.'),
  service: z.string().max(253).optional().describe('Service that it belongs to.'),
  node: z.string().max(253).optional().describe('Node that it runs on.'),
  state: z.string().max(32).describe('What the platform says, such as running.'),
  image: z.string().max(512).optional().describe('Image, with its digest where known.'),
  architecture: z.string().max(32).optional().describe('Architecture of the image.'),
  restarts: z.int().min(0).optional().describe('Times that it was replaced.'),
  since: dateTime.optional().describe('Since when it is in its state.'),
  error: z.string().max(1024).optional().describe('Last error text.'),
});
export type TaskStatus = z.infer<typeof taskStatus>;

/**
 * The highest sequence that a site may claim to have. The ledger goes on from there, and what a site says must
 * not use up the integers.
 */
export const maxReportedPlacement = 2 ** 48;

/** What the agent reports of one instance. */
export const appInstSite = z.object({
  uid: z.string().max(64).describe('metadata.uid of the object that the report is about.'),
  boot: z.string().max(64).describe('Identity of the agent process.'),
  sequence: z.int().min(0).describe('Number of the report within the boot.'),
  placement: z
    .int()
    .min(0)
    .max(maxReportedPlacement)
    .describe('Sequence of the plan that the report is about.'),
  observed: z.int().min(0).optional().describe('metadata.generation that the plan was made of.'),
  revision: z.string().max(253).optional().describe('Revision of the App that runs.'),
  removed: z.boolean().optional().describe('The instance is gone from the site.'),
  name: z
    .string()
    .max(253)
    .optional()
    .describe('What it is called at the site, such as its stack.'),
});

export const appInstStatus = z.object({
  observedGeneration: observedGeneration('The generation that the operator last acted on.'),
  placement: z
    .object({
      cloudlet: z.string().max(63).describe('Site.'),
      cluster: z.string().max(127).optional().describe('Cluster, as namespace/name.'),
      sequence: z.int().min(0).describe("Sequence in the site's ledger."),
    })
    .optional()
    .describe('Where it was placed; a copy of the ledger.'),
  ports: z
    .array(
      z.object({
        name: z.string().max(15).describe('Name of the port.'),
        protocol: z.enum(['TCP', 'UDP', 'HTTP']).describe('Protocol.'),
        port: portNumber.describe('Port of the container.'),
        endPort: portNumber.optional().describe('Last port of a range.'),
        publicPort: portNumber.optional().describe('Port at the site; first of a range.'),
      }),
    )
    .max(200)
    .optional()
    .meta(listMap('name'))
    .describe('Public ports; a copy of the ledger.'),
  endpoints: z
    .array(
      z.object({
        port: z.string().max(15).describe('Name of the port.'),
        host: z.string().max(253).describe('Address or name.'),
        publicPort: portNumber.describe('Port.'),
        node: z.string().max(253).optional().describe('Node that answers.'),
        ready: z.boolean().describe('Whether it answers.'),
      }),
    )
    .max(256)
    .optional()
    .meta(listAtomic)
    .describe('Where it answers.'),
  uri: z.string().max(2048).optional().describe('The first ready endpoint, for people.'),
  replicas: z.int().min(0).optional().describe('Replicas that run.'),
  selector: z
    .string()
    .max(253)
    .optional()
    .describe('Label selector of its tasks, for the scale subresource.'),
  rollout: z
    .object({
      revision: z.string().max(253).describe('Revision of the App that the plan is of.'),
      sequence: z.int().min(0).describe('Sequence of the plan.'),
      generation: z.int().min(0).describe('Generation of the AppInst that the plan is of.'),
      available: z.string().max(253).optional().describe('A newer revision that waits.'),
      lastHealthy: z
        .string()
        .max(253)
        .optional()
        .describe('The last revision that was healthy; a failed roll-out returns to it.'),
      failed: z
        .string()
        .max(253)
        .optional()
        .describe('The revision whose roll-out failed; it is not tried again.'),
      failedMessage: z.string().max(1024).optional().describe('Why that roll-out failed.'),
      secret: z
        .string()
        .max(253)
        .optional()
        .describe('Copy of the secrets that the plan is of, in the namespace of copies.'),
      host: z
        .string()
        .max(253)
        .optional()
        .describe('Address of the site that templates were filled in with.'),
      nodeLabels: z
        .array(
          z.object({
            name: z.string().max(63).describe('Name of the label.'),
            value: z.string().max(63).describe('Value of the label.'),
          }),
        )
        .max(8)
        .optional()
        .meta(listMap('name'))
        .describe('Labels that a node must have to run tasks of it, from its Cluster.'),
      overlayEncrypted: z
        .boolean()
        .optional()
        .describe('Whether its networks are encrypted, from its Cluster or Cloudlet.'),
      hostPaths: z
        .array(z.string().max(255))
        .max(32)
        .optional()
        .meta(listSet)
        .describe('Folders of the nodes that it may mount, from its Cloudlet.'),
      resources: z
        .object({
          cpuMillis: z.int().min(0).optional().describe('CPUs of one replica, in thousandths.'),
          memoryBytes: z.int().min(0).optional().describe('Memory of one replica, in bytes.'),
          diskBytes: z.int().min(0).optional().describe('Disk of one replica, in bytes.'),
        })
        .optional()
        .describe('Size of one replica, from its Flavor.'),
      startedAt: dateTime.optional().describe('When the roll-out began.'),
    })
    .optional()
    .describe('What the site shall run.'),
  conditions: conditions.optional(),
  site: appInstSite.optional().describe('The report that the rest of the site is from.'),
  instances: z
    .array(taskStatus)
    .max(200)
    .optional()
    .meta(listAtomic)
    .describe('What runs: tasks or containers.'),
  backends: z
    .array(
      z.object({
        port: z.string().max(15).describe('Name of the port.'),
        up: z.int().min(0).describe('Backends that pass the check.'),
        total: z.int().min(0).describe('Backends known.'),
      }),
    )
    .max(200)
    .optional()
    .meta(listMap('port'))
    .describe("What the site's load balancer sees."),
  warnings: z
    .array(z.string().max(512))
    .max(32)
    .optional()
    .meta(listAtomic)
    .describe('What of the App the platform ignores, by path.'),
  progress: z
    .object({
      task: z.string().max(128).describe('What is being done.'),
      step: z.int().min(0).describe('Step.'),
      of: z.int().min(0).describe('Of so many.'),
      message: z.string().max(512).optional().describe('More.'),
    })
    .optional()
    .describe('What the site is doing, while it takes long.'),
});
export type AppInstStatus = z.infer<typeof appInstStatus>;
export type AppInst = Resource<AppInstSpec, AppInstStatus>;

export const appInstKind: KindDefinition<typeof appInstSpec, typeof appInstStatus> = {
  kind: 'AppInst',
  plural: 'appinsts',
  singular: 'appinst',
  shortNames: ['ai'],
  categories: ['edge'],
  scope: 'Namespaced',
  description: 'One instance of an App at one site.',
  spec: appInstSpec,
  status: appInstStatus,
  rules: [
    {
      rule: 'size(self.metadata.name) <= 40',
      message: 'metadata.name of an AppInst has 40 characters at most',
      holds: ({ metadata }) => metadata.name.length <= 40,
    },
  ],
  scale: {
    specPath: '.spec.replicas',
    statusPath: '.status.replicas',
    selectorPath: '.status.selector',
  },
  selectableFields: [
    '.spec.appRef.name',
    '.spec.cloudletRef.name',
    '.spec.zoneRef.name',
    '.status.placement.cloudlet',
  ],
  columns: [
    { name: 'App', type: 'string', jsonPath: '.spec.appRef.name', description: 'App' },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].status",
      description: 'Whether it serves',
    },
    {
      name: 'Reason',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].reason",
      description: 'Why',
    },
    {
      name: 'Replicas',
      type: 'integer',
      jsonPath: '.status.replicas',
      description: 'Replicas that run',
    },
    { name: 'URI', type: 'string', jsonPath: '.status.uri', description: 'Where it answers' },
    {
      name: 'Site',
      type: 'string',
      jsonPath: '.status.placement.cloudlet',
      description: 'Site',
      priority: 1,
    },
    {
      name: 'Message',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].message",
      description: 'More',
      priority: 1,
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
