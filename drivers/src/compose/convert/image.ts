/**
 * An App of one image as a compose file would say it: one service that replaces its tasks one by one, the
 * new one first, and goes back by itself when the new one fails.
 */
import type { Plan } from '@cloudlet/crds';
import type { Findings } from '../findings.ts';
import type {
  ComposeDeploy,
  ComposeFileObject,
  ComposeFileReference,
  ComposeService,
  ComposeStack,
} from '../model.ts';
import { imageReference } from '../units.ts';
import { nameLimits, scoped } from './names.ts';

const second = 1_000_000_000;

export type ImagePlan = Pick<
  Plan,
  'app' | 'replicas' | 'env' | 'secretEnv' | 'files' | 'resources'
> & {
  readonly workload: Extract<Plan['workload'], { kind: 'Image' }>;
};

export function imageStack(plan: ImagePlan, stack: string, findings: Findings): ComposeStack {
  const { workload } = plan;
  if (!imageReference(workload.image))
    findings.mistake('image', 'is no image name: write it as `registry.example/shop:1.2`');
  const files = fileObjects(plan, findings);
  const service: ComposeService = {
    ...emptyService,
    name: serviceName(plan.app.name, stack),
    image: workload.image,
    entrypoint: workload.command ?? [],
    command: workload.args ?? [],
    environment: new Map(Object.entries({ ...plan.env, ...plan.secretEnv })),
    configs: files.references.filter(({ source }) => files.configs.has(source)),
    secrets: files.references.filter(({ source }) => files.secrets.has(source)),
    deploy: imageDeploy(plan),
  };
  return {
    services: [service],
    networks: new Map(),
    volumes: new Map(),
    configs: files.configs,
    secrets: files.secrets,
  };
}

/** The App's name, where it fits beside the stack's; it is the name that other services see. */
function serviceName(app: string, stack: string): string {
  const fits = /^[a-z0-9][a-z0-9-]*$/.test(app) && scoped(stack, app).length <= nameLimits.service;
  return fits ? app : 'app';
}

function imageDeploy(plan: ImagePlan): ComposeDeploy {
  const { cpuMillis = 0, memoryBytes = 0 } = plan.resources ?? {};
  const size = { nanoCpus: cpuMillis * 1_000_000, memoryBytes };
  const isSized = cpuMillis > 0 || memoryBytes > 0;
  const update = {
    parallelism: 1,
    delay: 0,
    failureAction: 'rollback',
    monitor: 10 * second,
    maxFailureRatio: 0,
    order: 'start-first',
  };
  return {
    mode: 'replicated',
    replicas: plan.replicas ?? 1,
    endpointMode: '',
    labels: {},
    update,
    rollback: { ...update, failureAction: 'pause' },
    ...(isSized ? { limits: { ...size, pids: 0 }, reservations: { ...size, generic: [] } } : {}),
    restart: { condition: 'any', delay: 5 * second },
    constraints: [],
    spread: [],
    maxReplicas: 0,
  };
}

interface Files {
  readonly configs: ReadonlyMap<string, ComposeFileObject>;
  readonly secrets: ReadonlyMap<string, ComposeFileObject>;
  readonly references: readonly ComposeFileReference[];
}

function fileObjects(plan: ImagePlan, findings: Findings): Files {
  const configs = new Map<string, ComposeFileObject>();
  const secrets = new Map<string, ComposeFileObject>();
  const references: ComposeFileReference[] = [];
  for (const [index, file] of (plan.files ?? []).entries()) {
    const path = `files[${index}]`;
    const source = `file${index}`;
    if (!file.path.startsWith('/'))
      findings.mistake(path, 'must have an absolute path: it is mounted there');
    const content = Buffer.from(file.content, file.encoding === 'base64' ? 'base64' : 'utf8');
    const object = { ...emptyObject, path, content: new Uint8Array(content) };
    (file.secret ? secrets : configs).set(source, object);
    references.push({ path, source, target: file.path, uid: '0', gid: '0', mode: 0o444 });
  }
  return { configs, secrets, references };
}

const emptyObject: ComposeFileObject = {
  path: '',
  name: '',
  external: false,
  file: '',
  labels: {},
  driver: '',
  driverOpts: {},
  templateDriver: '',
};

const emptyService = {
  path: 'image',
  capAdd: [],
  capDrop: [],
  dns: [],
  dnsSearch: [],
  expose: [],
  groups: [],
  hosts: [],
  hostname: '',
  isolation: '',
  labels: {},
  networks: [],
  oomScoreAdj: 0,
  ports: [],
  readOnly: false,
  openStdin: false,
  stopGracePeriod: 30 * second,
  stopSignal: '',
  sysctls: {},
  tty: false,
  ulimits: [],
  user: '',
  mounts: [],
  workingDir: '',
} as const;
