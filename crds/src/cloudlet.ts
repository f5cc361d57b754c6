/** Cloudlet: one edge site, its platform and what its agents report. */
import { z } from 'zod';
import { keyFingerprint, keySet } from './agent-key.ts';
import { siteOrphan } from './site-orphan.ts';
import {
  rules,
  conditions,
  observedGeneration,
  dateTime,
  dnsLabel,
  type KindDefinition,
  listMap,
  listSet,
  objectName,
  portNumber,
  quantity,
  type Resource,
} from './schema.ts';

export const platforms = ['DockerSwarm', 'Fake'] as const;
export type PlatformName = (typeof platforms)[number];

export const cloudletSpec = z
  .object({
    operator: dnsLabel().describe('The organization that runs the site.'),
    platform: z.enum(platforms).describe('What the site runs instances on. Cannot be changed.'),
    dockerSwarm: z
      .object({
        overlayEncrypted: z
          .boolean()
          .optional()
          .describe(
            'Encrypt the overlay networks of instances (IPsec between nodes), of those that are made from now on. Default false.',
          ),
        hostPaths: z
          .array(
            z
              .string()
              .min(1)
              .max(255)
              .regex(/^\/([^/.][^/]*(\/[^/.][^/]*)*)?$/),
          )
          .max(32)
          .optional()
          .meta(listSet)
          .describe(
            'Folders of the nodes that compose files of Apps may mount, with all below them. Default: none. Sockets of the engine, /etc and the like give an App the node.',
          ),
      })
      .optional()
      .describe('Settings of platform DockerSwarm.'),
    location: z
      .object({
        latitude: z.number().min(-90).max(90).describe('Degrees north.'),
        longitude: z.number().min(-180).max(180).describe('Degrees east.'),
      })
      .optional()
      .describe('Where the site is (WGS 84).'),
    zoneRef: z
      .object({ name: objectName().describe('Name of the Zone.') })
      .optional()
      .describe('The zone that the site belongs to.'),
    acceptedKeys: keySet(14)
      .optional()
      .meta(listSet)
      .describe(
        'Fingerprints of agent keys that may enrol without a join token; see status.waiting for those that ask. A key that this list let in is cut off when it is taken out; one that a join token let in stays, see revokedKeys.',
      ),
    revokedKeys: keySet(64)
      .optional()
      .meta(listSet)
      .describe(
        'Fingerprints of agent keys that are cut off at once and refused, whatever let them in: of a key that was copied or lost. The other keys of the site stay.',
      ),
    revoked: z
      .boolean()
      .optional()
      .describe('Cut off every agent of the site at once and refuse it until this is false again.'),
    maintenance: z
      .enum(['Normal', 'Drain', 'DrainWithoutFailover'])
      .optional()
      .describe(
        'Drain: no new instance is placed here. DrainWithoutFailover: likewise, and a policy moves nothing away. Default Normal.',
      ),
    loadBalancer: z
      .object({
        addresses: z
          .array(z.string().min(1).max(253))
          .max(16)
          .optional()
          .meta(listSet)
          .describe(
            'Addresses that devices reach the site by. Default: those that the agents report.',
          ),
        portRange: z
          .object({
            first: portNumber.describe('First port.'),
            last: portNumber.describe('Last port, included.'),
          })
          .apply(
            rules({
              rule: 'self.first <= self.last',
              message: 'first must not be greater than last',
              holds: (range) => range.first <= range.last,
            }),
          )
          .optional()
          .describe(
            'Public ports that are given out when the wanted one is taken. Default 10000 to 19999.',
          ),
      })
      .optional()
      .describe('How the site publishes ports.'),
    resourceQuotas: z
      .array(
        z.object({
          name: z.enum(['vcpus', 'memory', 'disk', 'instances']).describe('What is bounded.'),
          value: quantity.describe('The most that may be given away.'),
        }),
      )
      .max(8)
      .optional()
      .meta(listMap('name'))
      .describe('Bounds below what the site has.'),
  })
  .apply(
    rules(
      {
        rule: 'self.platform == oldSelf.platform',
        message: 'platform cannot be changed',
        fieldPath: '.platform',
      },
      {
        rule: "!has(self.dockerSwarm) || self.platform == 'DockerSwarm'",
        message: 'dockerSwarm is for platform DockerSwarm only: remove it or change platform',
        holds: (cloudlet) => !cloudlet.dockerSwarm || cloudlet.platform === 'DockerSwarm',
        fieldPath: '.dockerSwarm',
      },
      {
        rule: '!has(self.revokedKeys) || !has(self.acceptedKeys) || !self.acceptedKeys.exists(key, key in self.revokedKeys)',
        message: 'a key is in acceptedKeys and in revokedKeys: remove it from one of them',
        holds: ({ acceptedKeys = [], revokedKeys = [] }) =>
          !acceptedKeys.some((key) => revokedKeys.includes(key)),
        fieldPath: '.revokedKeys',
      },
    ),
  );
export type CloudletSpec = z.infer<typeof cloudletSpec>;

export const siteNode = z.object({
  name: z.string().max(253).describe('Host name of the node.'),
  role: z.enum(['Manager', 'Worker']).describe('Its role in the swarm.'),
  availability: z
    .enum(['Active', 'Pause', 'Drain'])
    .optional()
    .describe('Whether it takes new tasks.'),
  state: z
    .enum(['Ready', 'Down', 'Unknown', 'Disconnected'])
    .describe('What the swarm says of it.'),
  leader: z.boolean().optional().describe('Whether it leads the managers.'),
  reachable: z.boolean().optional().describe('Managers: whether the others reach it.'),
  address: z.string().max(253).optional().describe('Its address.'),
  architecture: z.string().max(32).optional().describe('Such as linux/arm/v7.'),
  emulates: z
    .array(z.string().max(32))
    .max(16)
    .optional()
    .describe('Architectures that it runs by emulation.'),
  engine: z.string().max(64).optional().describe('Version of its engine.'),
  nodeId: z.string().max(128).optional().describe('Its id in the swarm.'),
  cpuMillis: z.int().min(0).optional().describe('Its CPUs, in thousandths.'),
  memoryBytes: z.int().min(0).optional().describe('Its memory, in bytes.'),
});
export type SiteNode = z.infer<typeof siteNode>;

/** What the agent reports of its site; all of it is the agent's field manager's. */
export const siteStatus = z.object({
  uid: z.string().max(64).describe('metadata.uid of the object that the report is about.'),
  boot: z.string().max(64).describe('Identity of the agent process.'),
  sequence: z.int().min(0).describe('Number of the report within the boot.'),
  version: z.string().max(64).optional().describe('Version of the agent.'),
  platformVersion: z.string().max(128).optional().describe('Version of the platform under it.'),
  addresses: z.array(z.string().max(253)).max(16).optional().describe('Where public ports answer.'),
  nodes: z.array(siteNode).max(200).optional().meta(listMap('name')).describe('Nodes of the site.'),
  managers: z.int().min(0).optional().describe('Managers of the swarm.'),
  managersReachable: z.int().min(0).optional().describe('Managers that the leader reaches.'),
  architectures: z
    .array(z.string().max(32))
    .max(16)
    .optional()
    .meta(listSet)
    .describe('Image architectures that some node runs.'),
  capacity: z
    .object({
      cpuMillis: z.int().min(0).optional().describe('CPUs of all ready nodes, in thousandths.'),
      memoryBytes: z.int().min(0).optional().describe('Memory of all ready nodes, in bytes.'),
      diskBytes: z.int().min(0).optional().describe('Disk of all ready nodes, in bytes.'),
    })
    .optional()
    .describe('What the site has.'),
  features: z
    .array(z.string().max(63))
    .max(32)
    .optional()
    .meta(listSet)
    .describe('Plan features the agent knows.'),
  orphans: z
    .array(siteOrphan)
    .max(100)
    .optional()
    .meta(listMap('id'))
    .describe(
      'Instances that run at the site though the region does not know them there, or orders their removal by a number that the site is past. One whose AppInst runs elsewhere the region has removed; others are left to a person.',
    ),
});
export type SiteStatus = z.infer<typeof siteStatus>;

export const cloudletStatus = z.object({
  observedGeneration: observedGeneration('The generation that the operator last acted on.'),
  keys: z
    .array(
      z.object({
        fingerprint: keyFingerprint.describe('Fingerprint of the public key.'),
        member: z.string().max(63).optional().describe('Host name that the agent gave.'),
        notAfter: dateTime.optional().describe('When its certificate ends.'),
        acceptedAt: dateTime.optional().describe('When it was first accepted.'),
        acceptedBy: z
          .enum(['JoinToken', 'AcceptedKeys'])
          .optional()
          .describe(
            'What let it in. AcceptedKeys: it goes when it is taken out of spec.acceptedKeys.',
          ),
      }),
    )
    .max(14)
    .optional()
    .meta(listMap('fingerprint'))
    .describe('Keys of the site that hold or held a certificate.'),
  waiting: z
    .array(
      z.object({
        fingerprint: keyFingerprint.describe(
          'Fingerprint of the public key; add it to spec.acceptedKeys to let it in.',
        ),
        member: z.string().max(63).optional().describe('Host name that the agent gave.'),
        address: z.string().max(64).optional().describe('Address that it came from.'),
        since: dateTime.describe('When it first asked.'),
      }),
    )
    .max(4)
    .optional()
    .meta(listMap('fingerprint'))
    .describe('Agents that ask to enrol without a token.'),
  joinToken: z
    .object({
      secretName: objectName().describe(
        "Secret in the operator's namespace that holds the join token.",
      ),
      expiresAt: dateTime.describe('When it ends.'),
      usedBy: keyFingerprint.optional().describe('The key that it is bound to.'),
    })
    .optional()
    .describe('The one-time join token that was minted with the Cloudlet.'),
  connection: z
    .object({
      hub: z.string().max(253).optional().describe('Hub replica that holds the tunnel.'),
      since: dateTime.optional().describe('Since when the present state lasts.'),
    })
    .optional()
    .describe('The tunnel.'),
  allocated: z
    .object({
      instances: z.int().min(0).optional().describe('Instances placed here.'),
      cpuMillis: z.int().min(0).optional().describe('CPUs given away, in thousandths.'),
      memoryBytes: z.int().min(0).optional().describe('Memory given away, in bytes.'),
    })
    .optional()
    .describe('What the ledger gave away.'),
  conditions: conditions.optional(),
  site: siteStatus.optional().describe('What the agent reports.'),
});
export type CloudletStatus = z.infer<typeof cloudletStatus>;
export type Cloudlet = Resource<CloudletSpec, CloudletStatus>;

/** Condition types. The operator owns Ready, Accepted and Connected; the agent the rest. */
export const cloudletConditions = {
  Ready: 'Ready',
  /** Present, and True, only while it needs a person to become Ready (kstatus). */
  Stalled: 'Stalled',
  Accepted: 'Accepted',
  Connected: 'Connected',
  PlatformReady: 'PlatformReady',
  Quorum: 'Quorum',
  LoadBalancerReady: 'LoadBalancerReady',
  ClockInSync: 'ClockInSync',
} as const;

export const cloudletReasons = {
  Ready: 'Ready',
  Draining: 'Draining',
  NoKey: 'NoKey',
  Accepted: 'Accepted',
  Revoked: 'Revoked',
  Connected: 'Connected',
  NeverConnected: 'NeverConnected',
  SiteUnreachable: 'SiteUnreachable',
  HubUnavailable: 'HubUnavailable',
  DuplicateAgent: 'DuplicateAgent',
  VersionMismatch: 'VersionMismatch',
  Serving: 'Serving',
  EngineUnreachable: 'EngineUnreachable',
  StateNotWritable: 'StateNotWritable',
  NotASwarmManager: 'NotASwarmManager',
  QuorumHeld: 'QuorumHeld',
  QuorumLost: 'QuorumLost',
  EvenManagers: 'EvenManagers',
  LoadBalancerFailed: 'LoadBalancerFailed',
  ClockWrong: 'ClockWrong',
  ClockInSync: 'ClockInSync',
  ZoneNotFound: 'ZoneNotFound',
  InUse: 'InUse',
  PlatformNotReady: 'PlatformNotReady',
} as const;

/** Condition types that a site may write. */
export const cloudletAgentConditions = [
  'PlatformReady',
  'Quorum',
  'LoadBalancerReady',
  'ClockInSync',
] as const;

export const cloudletKind: KindDefinition<typeof cloudletSpec, typeof cloudletStatus> = {
  kind: 'Cloudlet',
  plural: 'cloudlets',
  singular: 'cloudlet',
  shortNames: ['cl'],
  categories: ['edge'],
  scope: 'Cluster',
  description:
    'One edge site: a platform with its capacity, reached through one outbound tunnel of its agent.',
  spec: cloudletSpec,
  status: cloudletStatus,
  rules: [
    {
      rule: 'size(self.metadata.name) <= 40',
      message: 'metadata.name of a Cloudlet has 40 characters at most',
      holds: ({ metadata }) => metadata.name.length <= 40,
    },
  ],
  selectableFields: ['.spec.platform', '.spec.zoneRef.name'],
  columns: [
    { name: 'Platform', type: 'string', jsonPath: '.spec.platform', description: 'Platform' },
    { name: 'Zone', type: 'string', jsonPath: '.spec.zoneRef.name', description: 'Zone' },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].status",
      description: 'Whether instances can be placed and are served',
    },
    {
      name: 'Reason',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].reason",
      description: 'Why',
    },
    {
      name: 'Connected',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Connected')].status",
      description: 'The tunnel',
    },
    {
      name: 'Instances',
      type: 'integer',
      jsonPath: '.status.allocated.instances',
      description: 'Instances placed',
    },
    {
      name: 'Managers',
      type: 'integer',
      jsonPath: '.status.site.managersReachable',
      description: 'Managers reachable',
      priority: 1,
    },
    {
      name: 'Agent',
      type: 'string',
      jsonPath: '.status.site.version',
      description: 'Version of the agent',
      priority: 1,
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
