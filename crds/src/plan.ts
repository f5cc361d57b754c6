/**
 * A plan: what one instance should be at one site. The operator decides it, the hub renders and copies it,
 * the agent keeps it on disk and hands it to its driver.
 *
 * Guarantees: a plan is a pure function of the AppInst, its pinned ControllerRevision and its copied
 * Secrets; a field at its default is absent, so that an upgrade of either end changes no hash; everything
 * in it is bounded. Secret values are in `secretEnv` and `files` only.
 */
import { z } from 'zod';
import { portNumber } from './schema.ts';

/** First uid of the object, also over a restore. */
export const instanceId = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[-a-zA-Z0-9]+$/);

/** Names of Kubernetes objects: a hub that was taken over gets no other text into a site's configuration. */
const objectName = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/);

const labelText = /^[-._/a-zA-Z0-9]*$/;

export const planPort = z.object({
  name: objectName(15),
  protocol: z.enum(['TCP', 'UDP', 'HTTP']),
  port: portNumber,
  endPort: portNumber.optional(),
  /** Absent when `internalOnly`. For a range: the first of as many. */
  publicPort: portNumber.optional(),
  internalOnly: z.boolean().optional(),
  healthCheck: z
    .object({
      type: z.enum(['TCP', 'HTTP', 'None']),
      path: z
        .string()
        .max(1024)
        .regex(/^\/[!-~]*$/)
        .optional(),
    })
    .optional(),
  /** Compose only: the service that has the port. Absent: the one that publishes or exposes it. */
  service: z.string().max(63).optional(),
});
export type PlanPort = z.infer<typeof planPort>;

export const planWorkload = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('Image'),
    image: z.string().min(1).max(512),
    /** Replaces the image's entrypoint. */
    command: z.array(z.string().max(4096)).max(64).optional(),
    args: z.array(z.string().max(4096)).max(256).optional(),
  }),
  z.object({ kind: z.literal('Compose'), compose: z.string().min(1).max(262_144) }),
]);

export const plan = z.object({
  id: instanceId,
  /** Grows with each change of the plan; taken from the site's ledger. A lower one is dropped. */
  sequence: z.int().min(1),
  /** Features that the agent must know, else it answers `Unsupported` and keeps what runs. */
  requires: z.array(z.string().max(63)).max(16).optional(),
  object: z.object({
    namespace: objectName(63),
    name: objectName(63),
    uid: z.string().max(64),
    generation: z.int().min(1),
  }),
  cloudlet: z.string().max(63),
  /** Absent: the whole site. */
  cluster: z
    .object({
      /** As namespace/name. */
      name: z
        .string()
        .max(127)
        .regex(/^([-.a-z0-9]+\/)?[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/),
      /** Labels that a node must have to run tasks of the instance. */
      nodeLabels: z
        .record(z.string().max(63).regex(labelText), z.string().max(63).regex(labelText))
        .optional(),
    })
    .optional(),
  app: z.object({
    name: z.string().max(253),
    version: z.string().max(63),
    revision: z.string().max(253),
  }),
  workload: planWorkload,
  /** @default 1 */
  replicas: z.int().min(0).max(1000).optional(),
  /** @default On */
  powerState: z.enum(['On', 'Off']).optional(),
  /** Leave it as it is: nothing is changed, created or removed. */
  suspend: z.boolean().optional(),
  env: z.record(z.string().max(253), z.string().max(32_768)).optional(),
  secretEnv: z.record(z.string().max(253), z.string().max(65_536)).optional(),
  /** Files for compose `configs`/`secrets` whose `file:` names them, and for an image's mounts. */
  files: z
    .array(
      z.object({
        path: z.string().min(1).max(512),
        content: z.string().max(700_000),
        encoding: z.enum(['utf8', 'base64']).optional(),
        secret: z.boolean().optional(),
      }),
    )
    .max(64)
    .optional(),
  ports: z.array(planPort).max(200).optional(),
  /** Networks between nodes are encrypted. @default false */
  overlayEncrypted: z.boolean().optional(),
  /** Folders of the nodes that it may mount. @default none */
  hostPaths: z.array(z.string().max(255)).max(32).optional(),
  resources: z
    .object({
      /** Thousandths of a CPU. */
      cpuMillis: z.int().min(0).optional(),
      memoryBytes: z.int().min(0).optional(),
      diskBytes: z.int().min(0).optional(),
    })
    .optional(),
  volumesOnDelete: z.enum(['Retain', 'Delete']).optional(),
  /** Registry credentials by registry host; base64 of `user:password`. */
  registryAuth: z.record(z.string().max(253), z.string().max(8192)).optional(),
  /** Key of the hashes that secrets are named by at the site, so that nobody can test a guess. */
  nameKey: z.string().max(64).optional(),
  /** Name of a stack to take over as it runs. */
  adoptStack: z.string().max(63).optional(),
});
export type Plan = z.infer<typeof plan>;

/** An order to remove an instance; stems from a deletion or a tombstone of the ledger, never from absence. */
export const removal = z.object({
  id: instanceId,
  sequence: z.int().min(1),
  /** Named volumes go too. */
  deleteVolumes: z.boolean().optional(),
});
export type Removal = z.infer<typeof removal>;
