/**
 * A stack's services: made, brought up to date, taken over, let go.
 *
 * Guarantees: a service is updated only when its normalised specification or our labels differ; an image
 * whose name has not changed keeps its digest; ForceUpdate is kept; an update that the swarm rolled back or
 * stopped is tried again with the same content only when its time has come (failed-update.ts).
 */
import type { Plan } from '@cloudlet/crds';
import { ConflictError, contentHash } from '@cloudlet/runtime/base';
import { sameService, type ServiceSpec, type Strings, withoutUnknown } from '../compose/index.ts';
import type { Engine } from './engine.ts';
import type { Service } from './engine-types.ts';
import {
  type Attempt,
  failureOf,
  type GivenUp,
  isNewFailure,
  nextAttempt,
  refusal,
  resumption,
} from './failed-update.ts';
import { checkArchitecture, credentialsFor, resolveImage } from './images.ts';
import { adoptedLabel, failedLabel, imageLabel, platformsLabel, sequenceLabel } from './names.ts';
import { isNodeNetwork } from './objects.ts';

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

export interface EnsuredService {
  readonly changed: boolean;
  readonly warnings: readonly string[];
  /** The update that was begun; if the swarm rolls it back, that is what failed. */
  readonly tried?: Attempt;
  /** The swarm is rolling back: nothing was done. */
  readonly isRollingBack?: boolean;
}

/**
 * Brings one service to `wanted`.
 * @param tried the last update of it, where that is known.
 * @throws DriverError while what the swarm gave up is not to be tried again yet.
 */
export async function ensureService(
  wanted: ServiceSpec,
  current: Service | undefined,
  tried: Attempt | undefined,
  context: ServiceContext,
): Promise<EnsuredService> {
  if (current && isLeftAsAdopted(current, wanted)) return { changed: false, warnings: [] };
  const { spec, warnings } = await withImage(wanted, current?.Spec, context);
  if (!current) {
    await createService(spec, context);
    return { changed: true, warnings };
  }
  const kept = keepForceUpdate(spec, current.Spec);
  const state = current.UpdateStatus?.State;
  const networkNames = await nodeNetworksOf(kept, current, context);
  const isAsked = isSame(kept, current, { ...context.facts, networkNames });
  if (isAsked && state !== 'paused') return { changed: false, warnings };
  if (state === 'rollback_started') return { changed: false, warnings, isRollingBack: true };
  const content = contentOf(kept);
  const attempt = isAsked
    ? await resume(current, tried?.content === content ? tried : { content, number: 1 }, context)
    : await renew(current, content, tried, context);
  await updateService(kept, current, context);
  return { changed: true, warnings, tried: attempt };
}

/** What the swarm stopped goes on when it is told the same once more. */
async function resume(
  current: Service,
  attempt: Attempt,
  context: ServiceContext,
): Promise<Attempt> {
  return resumption(await givenUp(current, attempt, context));
}

/**
 * Writes on a rolled-back service what failed and why: what runs is the previous specification, which knows
 * nothing of it.
 */
async function renew(
  current: Service,
  content: string,
  tried: Attempt | undefined,
  context: ServiceContext,
): Promise<Attempt> {
  const { clock } = context.engine;
  if (!isNewFailure(current, content, tried)) return nextAttempt(current, content, clock.now());
  const attempt = tried ?? { content, number: 1 };
  const failed = failureOf(await givenUp(current, attempt, context));
  const marked = labelled(current.Spec, { [failedLabel]: JSON.stringify(failed) });
  await updateService(marked, current, context);
  throw refusal(failed, clock.now());
}

async function givenUp(
  service: Service,
  attempt: Attempt,
  { engine, signal }: ServiceContext,
): Promise<GivenUp> {
  const tasks = await engine.tasks({ service: [service.ID] }, signal);
  const nodes = await engine.nodes(signal);
  return { service, attempt, tasks, nodes, now: engine.clock.now() };
}

interface ComparedBy extends Pick<SiteFacts, 'apiVersion'> {
  readonly networkNames: ReadonlyMap<string, string>;
}

function isSame(wanted: ServiceSpec, current: Service, facts: ComparedBy): boolean {
  const { apiVersion, networkNames } = facts;
  const known = apiVersion === undefined ? { networkNames } : { apiVersion, networkNames };
  return sameService(withoutPlatforms(wanted), current.Spec, known);
}

/**
 * Names of a service's networks, by id, where it is to have one that every node has by itself: such a one is
 * asked for by name, and the swarm keeps an id that is in no list.
 */
async function nodeNetworksOf(
  wanted: ServiceSpec,
  current: Service,
  { engine, signal }: ServiceContext,
): Promise<ReadonlyMap<string, string>> {
  const targets = wanted.TaskTemplate.Networks.map(({ Target }) => Target);
  if (!targets.some(isNodeNetwork)) return new Map();
  const others = (current.Spec.TaskTemplate.Networks ?? []).filter(
    ({ Target }) => !targets.includes(Target),
  );
  const names = others.map(async ({ Target }) => {
    const { Name } = await engine.network(Target, signal);
    return [Target, Name] as const;
  });
  return new Map(await Promise.all(names));
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

/** Begins all tasks anew, by the service's own rules of an update; the swarm keeps the credentials. */
export async function restartService(
  engine: Engine,
  current: Service,
  signal: AbortSignal,
): Promise<void> {
  const { TaskTemplate } = current.Spec;
  const ForceUpdate = (TaskTemplate.ForceUpdate ?? 0) + 1;
  const spec = { ...current.Spec, TaskTemplate: { ...TaskTemplate, ForceUpdate } };
  await engine.call(`restart service ${spec.Name}`, signal, (docker, call) =>
    docker.getService(current.ID).update(undefined, {
      ...call,
      _query: { version: current.Version.Index },
      _body: spec,
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
