/** App: what to run, without saying where. An AppInst runs it somewhere. */
import { z } from 'zod';
import {
  rules,
  conditions,
  observedGeneration,
  dnsLabel,
  duration,
  type KindDefinition,
  listMap,
  objectName,
  portNumber,
  type Resource,
  secretKeyRef,
} from './schema.ts';

export const appPort = z
  .object({
    name: dnsLabel(15).describe(
      'Name of the port, unique in the App; templates and status refer to it.',
    ),
    protocol: z
      .enum(['TCP', 'UDP', 'HTTP'])
      .describe('HTTP is TCP with an HTTP health check by default.'),
    port: portNumber.describe('Port that the container listens on, or first of a range.'),
    endPort: portNumber.optional().describe('Last port of a range, included.'),
    internalOnly: z
      .boolean()
      .optional()
      .describe('Reachable by other instances of the site only; no public port. Default false.'),
    service: dnsLabel()
      .optional()
      .describe(
        'Compose Apps: the service that listens. Default: the one that names the port under `ports`.',
      ),
    healthCheck: z
      .object({
        type: z
          .enum(['TCP', 'HTTP', 'None'])
          .describe(
            'What the load balancer tries. Default: HTTP for HTTP ports, TCP for TCP ports.',
          ),
        path: z
          .string()
          .min(1)
          .max(1024)
          .regex(/^\/[!-~]*$/)
          .optional()
          .describe('HTTP: path that must answer 2xx or 3xx. Default /.'),
      })
      .optional()
      .describe('Active check by the load balancer: every 2 s, three misses.'),
  })
  .apply(
    rules(
      {
        rule: '!has(self.endPort) || self.endPort >= self.port',
        message: 'endPort must not be less than port',
        holds: (port) => port.endPort === undefined || port.endPort >= port.port,
        fieldPath: '.endPort',
      },
      {
        rule: '!has(self.endPort) || self.endPort - self.port < 1000',
        message: 'a range has 1000 ports at most',
        holds: (port) => port.endPort === undefined || port.endPort - port.port < 1000,
        fieldPath: '.endPort',
      },
      {
        rule: "!has(self.healthCheck) || !has(self.healthCheck.path) || self.healthCheck.type == 'HTTP'",
        message: 'healthCheck.path needs healthCheck.type HTTP',
        holds: ({ healthCheck }) => !healthCheck?.path || healthCheck.type === 'HTTP',
        fieldPath: '.healthCheck',
      },
      {
        rule: "!has(self.healthCheck) || self.protocol != 'UDP' || self.healthCheck.type == 'None'",
        message: "a UDP port has no active check: its health is the container's own",
        holds: ({ healthCheck, protocol }) =>
          !healthCheck || protocol !== 'UDP' || healthCheck.type === 'None',
        fieldPath: '.healthCheck',
      },
    ),
  );
export type AppPort = z.infer<typeof appPort>;

/** Reserved on a site's public addresses: SSH, DNS, node join and the swarm's own ports. */
export const reservedPorts = {
  TCP: [22, 53, 2376, 2377, 7946, 20800],
  UDP: [53, 4789, 7946],
} as const;

/** Pairwise: no port of one service may be named twice for one transport. */
const noOverlap = rules<z.ZodArray<typeof appPort>>({
  rule: "self.all(a, self.exists_one(b, (a.protocol == 'UDP') == (b.protocol == 'UDP') && (has(a.service) ? a.service : '') == (has(b.service) ? b.service : '') && a.port <= (has(b.endPort) ? b.endPort : b.port) && b.port <= (has(a.endPort) ? a.endPort : a.port)))",
  message: 'two ports overlap: each port of one protocol may be named once',
  holds: (ports) => ports.every((a) => ports.filter((b) => overlap(a, b)).length === 1),
});

function overlap(a: AppPort, b: AppPort): boolean {
  return (
    (a.protocol === 'UDP') === (b.protocol === 'UDP') &&
    a.service === b.service &&
    a.port <= (b.endPort ?? b.port) &&
    b.port <= (a.endPort ?? a.port)
  );
}

const envName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/);

export const appSpec = z
  .object({
    version: z
      .string()
      .min(1)
      .max(63)
      .regex(/^[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$/)
      .describe('Version of the App, for people and labels.'),
    deployment: z
      .enum(['Docker'])
      .describe('What an instance is: Docker runs containers. Cannot be changed.'),
    image: z
      .string()
      .min(1)
      .max(512)
      .regex(/^[a-zA-Z0-9][-._:/@a-zA-Z0-9]*$/)
      .optional()
      .describe(
        'Image to run, such as `registry.example/shop:1.2`. Exactly one of image and compose.',
      ),
    compose: z
      .string()
      .min(1)
      .max(262_144)
      .optional()
      .describe(
        'A compose file, as `docker stack deploy` takes it. Exactly one of image and compose.',
      ),
    command: z
      .array(z.string().max(4096))
      .max(64)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .describe("Replaces the image's entrypoint. For image only."),
    args: z
      .array(z.string().max(4096))
      .max(256)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .describe("Replaces the image's arguments. For image only."),
    env: z
      .array(
        z
          .object({
            name: envName.describe('Name of the variable.'),
            value: z
              .string()
              .max(32_768)
              .optional()
              .describe('Its value; templates such as `{{cloudlet.name}}` are filled in.'),
            secretKeyRef: secretKeyRef
              .optional()
              .describe('Takes the value from a Secret of the namespace.'),
          })
          .apply(
            rules({
              rule: 'has(self.value) != has(self.secretKeyRef)',
              message: 'exactly one of value and secretKeyRef is wanted',
              holds: (entry) => (entry.value === undefined) !== (entry.secretKeyRef === undefined),
            }),
          ),
      )
      .max(256)
      .optional()
      .meta(listMap('name'))
      .describe(
        'Variables of every container of the instance. In a compose file they also fill `${NAME}`.',
      ),
    files: z
      .array(
        z
          .object({
            path: z
              .string()
              .min(1)
              .max(255)
              .regex(/^[-._/a-zA-Z0-9]+$/)
              .describe(
                'Path that the compose file names under configs or secrets `file:`; for image, where it is mounted.',
              ),
            content: z
              .string()
              .max(65_536)
              .optional()
              .describe('Its content; templates are filled in.'),
            secretKeyRef: secretKeyRef
              .optional()
              .describe('Takes the content from a Secret of the namespace.'),
          })
          .apply(
            rules({
              rule: 'has(self.content) != has(self.secretKeyRef)',
              message: 'exactly one of content and secretKeyRef is wanted',
              holds: (file) => (file.content === undefined) !== (file.secretKeyRef === undefined),
            }),
          ),
      )
      .max(32)
      .optional()
      .meta(listMap('path'))
      .describe('Files that the compose file refers to, or that an image gets mounted.'),
    ports: z
      .array(appPort)
      .max(200)
      .apply(noOverlap)
      .optional()
      .meta(listMap('name'))
      .describe('Ports of the App.'),
    volumes: z
      .object({
        onDelete: z
          .enum(['Retain', 'Delete'])
          .describe('What becomes of named volumes with the instance. Default Retain.'),
      })
      .optional()
      .describe('Named volumes.'),
    defaultFlavorRef: z
      .object({ name: objectName().describe('Name of the Flavor.') })
      .optional()
      .describe('Size of one replica where the AppInst names none.'),
    imagePullSecretRef: z
      .object({
        name: objectName().describe('Name of the Secret, of type kubernetes.io/dockerconfigjson.'),
      })
      .optional()
      .describe('Credentials of the registries, from the namespace of the App.'),
    architectures: z
      .array(
        z
          .string()
          .min(1)
          .max(32)
          .regex(/^linux\/[a-z0-9]+(\/v[0-9])?$/),
      )
      .max(8)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'set' })
      .describe(
        'Architectures that the images exist for, such as linux/arm/v7. Default: the site finds out.',
      ),
    updateTimeout: duration
      .optional()
      .describe('How long a roll-out may take before it counts as failed. Default 5m.'),
  })
  .apply(
    rules(
      {
        rule: 'has(self.image) != has(self.compose)',
        message: 'exactly one of image and compose is wanted',
        holds: (app) => (app.image === undefined) !== (app.compose === undefined),
      },
      {
        rule: 'has(self.image) || (!has(self.command) && !has(self.args))',
        message: 'command and args are for image: a compose file has its own',
        holds: (app) =>
          app.image !== undefined || (app.command === undefined && app.args === undefined),
      },
      {
        rule: 'self.deployment == oldSelf.deployment',
        message: 'deployment cannot be changed',
        fieldPath: '.deployment',
      },
    ),
  );
export type AppSpec = z.infer<typeof appSpec>;

export const appStatus = z.object({
  observedGeneration: observedGeneration('The generation that the status was derived from.'),
  revision: z.string().max(253).optional().describe('ControllerRevision of the present spec.'),
  instances: z.int().min(0).optional().describe('AppInsts that refer to the App.'),
  conditions: conditions.optional(),
});
export type AppStatus = z.infer<typeof appStatus>;
export type App = Resource<AppSpec, AppStatus>;

/** Stalled is present, and True, only while it needs a person to become Ready (kstatus). */
export const appConditions = { Ready: 'Ready', Stalled: 'Stalled' } as const;
export const appReasons = {
  Ready: 'Ready',
  InvalidCompose: 'InvalidCompose',
  UnknownTemplate: 'UnknownTemplate',
  FlavorNotFound: 'FlavorNotFound',
  InUse: 'InUse',
} as const;

export const appKind: KindDefinition<typeof appSpec, typeof appStatus> = {
  kind: 'App',
  plural: 'apps',
  singular: 'app',
  shortNames: ['eapp'],
  categories: ['edge'],
  scope: 'Namespaced',
  description: 'What to run, without saying where.',
  spec: appSpec,
  status: appStatus,
  columns: [
    { name: 'Version', type: 'string', jsonPath: '.spec.version', description: 'Version' },
    {
      name: 'Deployment',
      type: 'string',
      jsonPath: '.spec.deployment',
      description: 'Kind of instances',
    },
    { name: 'Image', type: 'string', jsonPath: '.spec.image', description: 'Image', priority: 1 },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: ".status.conditions[?(@.type=='Ready')].status",
      description: 'Whether it can be placed',
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
      description: 'AppInsts of it',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
};
