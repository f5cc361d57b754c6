/**
 * A stack's services: made, brought up to date, taken over, let go.
 *
 * Guarantees: a service is updated only when its normalised specification or our labels differ; an image
 * whose name has not changed keeps its digest; ForceUpdate is kept; an update that the swarm rolled back is
 * written on the service and not tried again with the same content.
 */
import { appInstReasons, type Plan } from '@cloudlet/crds';
import { ConflictError, contentHash, DriverError } from '@cloudlet/runtime/base';
import { sameService, type ServiceSpec, type Strings, withoutUnknown } from '../compose/index.ts';
import type { Engine } from './engine.ts';
import type { Service } from './engine-types.ts';
import { lastError } from './convergence.ts';
import { checkArchitecture, credentialsFor, resolveImage } from './images.ts';
import { adoptedLabel, failedLabel, imageLabel, platformsLabel, sequenceLabel } from './names.ts';

export interface ServiceContext {
  readonly engine: Engine;
  readonly plan: Pick<Plan, 'registryAuth'>;
  readonly facts: SiteFacts;
  readonly signal: AbortSignal;
}

/** What converting and placing need to know of the site. */
export interface SiteFacts {
  /** What the nodes run, by themselves or by emulation. */
  readonly architectures: readonly string[];
  /** Nodes that emulate; the scheduler would keep foreign images from them. */
  readonly emulators: readonly {
    readonly architecture: string;
    readonly emulates: readonly string[];
  }[];
  readonly ipvs: boolean;
  readonly apiVersion?: string;
}

/** What is written on a service whose update was rolled back. */
interface FailedUpdate {
  readonly content: string;
  readonly message: string;
}

export interface EnsuredService {
  readonly changed: boolean;
  readonly warnings: readonly string[];
  /** What the last update was to; if the swarm rolls it back, that is what failed. */
  readonly tried?: string;
  /** The swarm is rolling back: nothing was done. */
  readonly isRollingBack?: boolean;
}

/**
 * Brings one service to `wanted`.
 * @param tried what the last update of it was to, where that is known.
 * @throws DriverError when the swarm rolled back just what is wanted.
 */
export async function ensureService(
  wanted: ServiceSpec,
  current: Service | undefined,
  tried: string | undefined,
  context: ServiceContext,
): Promise<EnsuredService> {
  if (current && isLeftAsAdopted(current, wanted)) return { changed: false, warnings: [] };
  const { spec, warnings } = await withImage(wanted, current?.Spec, context);
  if (!current) {
    await createService(spec, context);
    return { changed: true, warnings };
  }
  const kept = keepForceUpdate(spec, current.Spec);
  if (isSame(kept, current, context.facts)) return { changed: false, warnings };
  const state = current.UpdateStatus?.State;
  if (state === 'rollback_started') return { changed: false, warnings, isRollingBack: true };
  const content = contentOf(kept);
  if (state === 'rollback_completed' && content === (tried ?? content))
    await markFailed(content, current, context);
  refuseFailed(content, current);
  await updateService(kept, current, context);
  return { changed: true, warnings, tried: content };
}

function isSame(wanted: ServiceSpec, current: Service, { apiVersion }: SiteFacts): boolean {
  const facts = apiVersion === undefined ? {} : { apiVersion };
  return sameService(withoutPlatforms(wanted), current.Spec, facts);
}

/** A stack that was taken over is left as it runs until its plan changes. */
export function isAsAdopted({ Spec }: Service, sequence: number): boolean {
  return Spec.Labels[adoptedLabel] === String(sequence);
}

function isLeftAsAdopted(current: Service, wanted: ServiceSpec): boolean {
  return isAsAdopted(current, Number(wanted.Labels[sequenceLabel]));
}

/** Takes over a service as it runs: its labels change, which restarts nothing. */
export async function adoptService(
  current: Service,
  labels: Strings,
  context: ServiceContext & { readonly plan: Pick<Plan, 'sequence'> },
): Promise<void> {
  const sequence = String(context.plan.sequence);
  const Labels = {
    ...current.Spec.Labels,
    ...labels,
    [sequenceLabel]: sequence,
    [adoptedLabel]: sequence,
  };
  await updateService({ ...current.Spec, Labels }, current, context);
}

/** The image with its digest: the one that runs while its name is the same, else looked up. */
async function withImage(
  wanted: ServiceSpec,
  current: ServiceSpec | undefined,
  context: ServiceContext,
): Promise<{ spec: ServiceSpec; warnings: readonly string[] }> {
  const { Image } = wanted.TaskTemplate.ContainerSpec;
  const isKept = current?.Labels[imageLabel] === wanted.Labels[imageLabel];
  if (current && isKept) {
    const { ContainerSpec, Placement } = current.TaskTemplate;
    const spec = withPlacedImage(wanted, ContainerSpec.Image, platformsOf(Placement));
    const platforms = current.Labels[platformsLabel];
    return {
      spec: platforms ? labelled(spec, { [platformsLabel]: platforms }) : spec,
      warnings: [],
    };
  }
  const { engine, plan, facts, signal } = context;
  const resolved = await resolveImage(engine, Image, plan, signal);
  checkArchitecture(Image, resolved.platforms, facts.architectures);
  const spec = withPlacedImage(wanted, resolved.reference, placements(resolved.platforms, facts));
  const platforms = resolved.platforms.join(',');
  return {
    spec: platforms ? labelled(spec, { [platformsLabel]: platforms }) : spec,
    warnings: resolved.warning ? [resolved.warning] : [],
  };
}

function labelled(spec: ServiceSpec, labels: Strings): ServiceSpec {
  return { ...spec, Labels: { ...spec.Labels, ...labels } };
}

/** Where the scheduler may put the image: on nodes of its platforms, and on those that emulate one. */
function placements(
  platforms: readonly string[],
  { emulators }: SiteFacts,
): readonly PlacementPlatform[] {
  const emulating = emulators
    .filter(({ emulates }) => platforms.some((platform) => emulates.includes(platform)))
    .map(({ architecture }) => architecture);
  const all = platforms.length === 0 ? [] : [...platforms, ...emulating];
  return [...new Set(all)].map(placementOf);
}

interface PlacementPlatform {
  readonly Architecture?: string;
  readonly OS?: string;
}

function platformsOf(placement: object | undefined): readonly PlacementPlatform[] {
  return (placement as { Platforms?: readonly PlacementPlatform[] } | undefined)?.Platforms ?? [];
}

/** As the scheduler wants it; without a variant, for nodes tell their own in other words. */
function placementOf(platform: string): PlacementPlatform {
  const [OS = 'linux', Architecture = ''] = platform.split('/');
  return Architecture === 'arm' ? { OS } : { Architecture, OS };
}

/** Platforms follow the image, by which services are compared. */
function withoutPlatforms(spec: ServiceSpec): ServiceSpec {
  const { Platforms: _, ...Placement } = spec.TaskTemplate
    .Placement as ServiceSpec['TaskTemplate']['Placement'] & { Platforms?: unknown };
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Placement } };
}

function withPlacedImage(
  spec: ServiceSpec,
  Image: string,
  platforms: readonly PlacementPlatform[],
): ServiceSpec {
  const { ContainerSpec, Placement } = spec.TaskTemplate;
  const Platforms = platforms.length > 0 ? { Platforms: platforms } : {};
  return {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...ContainerSpec, Image },
      Placement: { ...Placement, ...Platforms },
    },
  };
}

function keepForceUpdate(spec: ServiceSpec, current: ServiceSpec): ServiceSpec {
  const ForceUpdate = current.TaskTemplate.ForceUpdate ?? 0;
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, ForceUpdate } };
}

async function createService(spec: ServiceSpec, context: ServiceContext): Promise<void> {
  const { engine, plan, facts, signal } = context;
  const auth = credentialsFor(spec.TaskTemplate.ContainerSpec.Image, plan);
  try {
    await engine.call(`make service ${spec.Name}`, signal, (docker, call) =>
      docker.createService(auth, { ...withoutUnknown(spec, facts.apiVersion), ...call }),
    );
  } catch (error) {
    // Somebody made it since we looked: the next call compares it.
    if (!(error instanceof ConflictError)) throw error;
  }
}

async function updateService(
  spec: ServiceSpec,
  current: Service,
  { engine, plan, facts, signal }: ServiceContext,
): Promise<void> {
  const auth = credentialsFor(spec.TaskTemplate.ContainerSpec.Image, plan);
  await engine.call(`update service ${spec.Name}`, signal, (docker, call) =>
    docker.getService(current.ID).update(auth, {
      ...call,
      _query: { version: current.Version.Index },
      _body: withoutUnknown(spec, facts.apiVersion),
    }),
  );
}

export async function removeService(
  engine: Engine,
  { ID, Spec }: Service,
  signal: AbortSignal,
): Promise<void> {
  await engine.call(`remove service ${Spec.Name}`, signal, (docker, call) =>
    docker.getService(ID).remove(call),
  );
}

/** What of a specification makes tasks; labels and numbers do not. */
function contentOf({ TaskTemplate, EndpointSpec }: ServiceSpec): string {
  return contentHash([TaskTemplate, EndpointSpec], 16);
}

/** @throws DriverError when the swarm rolled back this very content. */
function refuseFailed(content: string, current: Service): void {
  const failed = failedUpdateOf(current);
  if (failed?.content !== content) return;
  throw new DriverError(appInstReasons.RolledBack, failed.message, { permanent: true });
}

export function failedUpdateOf({ Spec }: Service): FailedUpdate | undefined {
  const text = Spec.Labels[failedLabel];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as FailedUpdate;
  } catch {
    return undefined; // not ours: a person wrote it
  }
}

/**
 * Writes on a rolled-back service what was refused and why: what runs is the previous specification, which
 * knows nothing of it.
 * @throws DriverError always, to say so.
 */
async function markFailed(
  content: string,
  current: Service,
  context: ServiceContext,
): Promise<never> {
  const { engine, signal } = context;
  const tasks = await engine.tasks({ service: [current.ID] }, signal);
  const failures = tasks.filter(({ Status }) => ['failed', 'rejected'].includes(Status.State));
  const cause = lastError(failures) ?? current.UpdateStatus?.Message ?? 'its tasks did not stay up';
  const message = `${current.Spec.Name}: update rolled back: ${cause}`.slice(0, 512);
  const failed: FailedUpdate = { content, message };
  const Labels = { ...current.Spec.Labels, [failedLabel]: JSON.stringify(failed) };
  await updateService({ ...current.Spec, Labels }, current, context);
  throw new DriverError(appInstReasons.RolledBack, message, { permanent: true });
}
