/**
 * From a compose file or an image to a StackPlan: the entry points of this folder.
 *
 * Guarantees: pure; the same input gives the same plan; the only error is a ComposeError, which names every
 * mistake by the path of its key; no secret value is in an error, a warning, a name or a label.
 */
import type { Plan, PlanPort } from '@cloudlet/crds';
import type { CliNames, Naming } from './convert/names.ts';
import { type ImagePlan, imageStack } from './convert/image.ts';
import { withAppPorts, withoutIpvs } from './convert/ports.ts';
import { convertStack } from './convert/stack.ts';
import { ComposeError, Findings, keyPath } from './findings.ts';
import type { Variables } from './interpolate.ts';
import { readStack } from './load/stack.ts';
import { joinPath } from './load/mounts.ts';
import type { ComposeService, ComposeStack } from './model.ts';
import type { StackPlan } from './stack-plan.ts';

export interface ConvertOptions {
  /** Name of the stack: prefix of every name, and the label that `docker stack` looks for. */
  readonly stack: string;
  /**
   * Whether the kernels of the site have IPVS. Without it names resolve to tasks and published ports are
   * picked by the engine on each node.
   * @default true
   */
  readonly ipvs?: boolean;
  /**
   * Name configs and secrets, or those of them of whose names with a hash it says so, as the command-line
   * tool does, without one. Their content can then not be changed while a service uses them.
   * @default false
   */
  readonly cliNames?: CliNames;
  /**
   * Key of the hashes in the names of secrets. @default the stack's name
   */
  readonly nameKey?: string;
  /** Ports of the App, to be tied to services and published. */
  readonly ports?: readonly PlanPort[];
}

export interface ComposeInput extends ConvertOptions {
  readonly text: string;
  /** What fills `${NAME}`, and variables of services that are named without a value. */
  readonly env?: Readonly<Record<string, string>>;
  /** As `env`, where only the containers may see the values. */
  readonly secretEnv?: Readonly<Record<string, string>>;
  /**
   * Whether `env` and `secretEnv` are variables of every container, too. What the file sets itself wins.
   * @default false
   */
  readonly injectEnv?: boolean;
  /** Content of the files that `file:` and `env_file:` name. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** Where relative paths of bind mounts start. Absent: they are refused, for no node has them. */
  readonly workingDir?: string;
}

/** @throws ComposeError */
export function convertCompose(input: ComposeInput): StackPlan {
  const findings = new Findings();
  const compose = readCompose(input, findings);
  return planStack(compose, input, findings);
}

/** @throws ComposeError */
export function convertImage(plan: ImagePlan, options: ConvertOptions): StackPlan {
  const findings = new Findings();
  return planStack(imageStack(plan, options.stack, findings), options, findings);
}

/**
 * What a plan asks for at a swarm when it is powered on.
 * @throws ComposeError
 */
export function convertPlan(plan: Plan, options: Omit<ConvertOptions, 'ports'>): StackPlan {
  const all = {
    ...(plan.nameKey === undefined ? {} : { nameKey: plan.nameKey }),
    ...options,
    ...(plan.ports ? { ports: plan.ports } : {}),
  };
  const { workload } = plan;
  if (workload.kind === 'Image') return convertImage({ ...plan, workload }, all);
  return convertCompose({
    ...all,
    text: workload.compose,
    env: plan.env ?? {},
    secretEnv: plan.secretEnv ?? {},
    injectEnv: true,
    files: planFiles(plan),
  });
}

/** Told what a compose file asks for. */
export interface ReadWatcher {
  onVariable?(name: string): void;
  onFile?(path: string): void;
}

/** Reads a compose file; mistakes are noted in `findings`. */
export function readCompose(
  input: ComposeInput,
  findings: Findings,
  watcher: ReadWatcher = {},
): ComposeStack {
  const variables = variablesOf(input, watcher);
  const files = new Map(
    [...(input.files ?? [])].map(([path, content]) => [joinPath('', path), content]),
  );
  const compose = readStack(
    input.text,
    { findings, variables },
    {
      files: (path) => {
        watcher.onFile?.(path);
        return files.get(joinPath('', path));
      },
      ...(input.workingDir === undefined ? {} : { workingDir: input.workingDir }),
    },
  );
  if (!input.injectEnv) return compose;
  return {
    ...compose,
    services: compose.services.map((service) => injected(service, input, findings)),
  };
}

/**
 * The plan of a stack that was read.
 * @throws ComposeError when there is a mistake in `findings`, or the stack has one.
 */
export function planStack(
  compose: ComposeStack,
  options: ConvertOptions,
  findings: Findings,
): StackPlan {
  const naming: Naming = {
    stack: options.stack,
    cliNames: options.cliNames ?? false,
    nameKey: options.nameKey ?? options.stack,
  };
  checkStackName(options.stack);
  let plan = convertStack(compose, naming, findings);
  if (options.ipvs === false) plan = withoutIpvs(plan, findings);
  if (options.ports) plan = withAppPorts(plan, options.ports, compose, findings);
  findings.throwIfWrong();
  return { ...plan, warnings: findings.warnings };
}

function checkStackName(stack: string): void {
  if (/^[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/.test(stack)) return;
  throw new ComposeError([
    { path: '', message: 'the name of the stack must be letters, digits and dashes, 63 at most' },
  ]);
}

function variablesOf({ env = {}, secretEnv = {} }: ComposeInput, watcher: ReadWatcher): Variables {
  const plain = new Map(Object.entries(env));
  const secret = new Map(Object.entries(secretEnv));
  return {
    lookup: (name) => {
      watcher.onVariable?.(name);
      return secret.get(name) ?? plain.get(name);
    },
    isSecret: (name) => secret.has(name),
  };
}

function injected(
  service: ComposeService,
  input: ComposeInput,
  findings: Findings,
): ComposeService {
  const app = new Map<string, string | null>(Object.entries({ ...input.env, ...input.secretEnv }));
  for (const [name, value] of service.environment) {
    if (app.has(name) && app.get(name) !== value)
      findings.warn(
        keyPath(`${service.path}.environment`, name),
        "the file's own value is used, not the App's; write `${NAME:-default}` to let the App decide",
      );
    app.set(name, value);
  }
  return { ...service, environment: app };
}

function planFiles(plan: Plan): ReadonlyMap<string, Uint8Array> {
  return new Map(
    (plan.files ?? []).map(({ path, content, encoding }) => [
      path,
      new Uint8Array(Buffer.from(content, encoding === 'base64' ? 'base64' : 'utf8')),
    ]),
  );
}
