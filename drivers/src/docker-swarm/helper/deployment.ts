/**
 * Keeps the helpers of a site's nodes at what they should be: as a service of the swarm, made by the member
 * that leads, with the authorities of all of them. Where that one does not (its agent is gone), another does.
 *
 * Guarantees: every member makes its authority known before it ever leads, so that a take-over changes
 * nothing and is followed at once; a certificate is replaced while a third of its life is left, and an old
 * one goes only when no update is under way; what somebody removed comes back. A failure is tried again and
 * told to whoever asks for a node's helper. One pass at a time.
 */
import { describeError, DriverError, type Logger } from '@cloudlet/runtime/base';
import type { Engine } from '../engine.ts';
import { removed } from '../engine.ts';
import type { EngineEvent, Service, SwarmNode } from '../engine-types.ts';
import { ensureService, removeService, type SiteFacts } from '../services.ts';
import type { Survey } from '../survey.ts';
import {
  type Authority,
  type Certificate,
  issueCertificate,
  listAuthorities,
  listCertificates,
  partLabel,
  publishAuthority,
  trusted,
  usable,
} from './objects.ts';
import { helperService, helperServiceName } from './service.ts';
import type { SiteAuthority } from './site-authority.ts';

export interface DeploymentOptions {
  readonly engine: Engine;
  readonly authority: SiteAuthority;
  readonly image: string;
  readonly port: number;
  /** The engine's socket on every node. */
  readonly socketPath: string;
  readonly facts: (signal: AbortSignal) => Promise<SiteFacts>;
  readonly logger: Logger;
}

/** As long as nothing tells of a change. */
const lookEveryMs = 30_000;
const busyMs = 3_000;
const againMs = 10_000;
/** How long what is missing may be missing before a member that does not lead sees to it. */
const standInMs = 60_000;

export class HelperDeployment {
  readonly #options: DeploymentOptions;
  #view: Survey | undefined;
  #lookedFor = '';
  #lookAt = -Infinity;
  #isDue = false;
  #running: Promise<void> | undefined;
  #hasLeft = false;
  /** Since when something is missing that the leader should have seen to, by the monotonic clock. */
  #missingSince: number | undefined;
  #failure: string | undefined;

  constructor(options: DeploymentOptions) {
    this.#options = options;
  }

  /** Why the helpers are not as they should be. */
  get failure(): string | undefined {
    return this.#failure;
  }

  survey(view: Survey, signal: AbortSignal): void {
    this.#view = view;
    const now = this.#options.engine.clock.monotonic();
    const isChanged = rolesOf(view) !== this.#lookedFor;
    if (this.#hasLeft || (!this.#isDue && !isChanged && now < this.#lookAt)) return;
    this.#isDue = true;
    this.#running ??= this.#run(signal).finally(() => (this.#running = undefined));
  }

  /** Removes the service and all that it has; nothing is made from then on. */
  async leave(signal: AbortSignal): Promise<void> {
    const { engine } = this.#options;
    this.#hasLeft = true;
    await this.#running;
    const service = await this.#service(signal);
    if (service) await removeService(engine, service, signal);
    const kept: readonly Named[] = [];
    await this.#collect({ all: await listCertificates(engine, signal), kept }, 'secret', signal);
    await this.#collect({ all: await listAuthorities(engine, signal), kept }, 'config', signal);
  }

  /** The next survey leads to a look when the event is of something of ours. */
  event({ Type, Actor }: Partial<EngineEvent>): void {
    const isOurs = Type === 'service' && Actor?.Attributes?.['name'] === helperServiceName;
    if (isOurs || Type === 'config' || Type === 'secret') this.#isDue = true;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { engine, logger } = this.#options;
    while (this.#isDue && this.#view && !this.#hasLeft && !signal.aborted) {
      this.#isDue = false;
      this.#lookedFor = rolesOf(this.#view);
      try {
        const isSettled = await this.#bringAbout(this.#view, signal);
        this.#failure = undefined;
        this.#lookAt = engine.clock.monotonic() + (isSettled ? lookEveryMs : busyMs);
      } catch (error) {
        if (signal.aborted) return;
        const message = describeError(error);
        if (message !== this.#failure) logger.warn("the nodes' helpers cannot be kept", { error });
        this.#failure = message;
        this.#lookAt = engine.clock.monotonic() + againMs;
      }
    }
  }

  /** @returns whether all is as it should be. */
  async #bringAbout({ info, nodes }: Survey, signal: AbortSignal): Promise<boolean> {
    const { engine, authority } = this.#options;
    const node = info.Swarm.NodeID;
    const before = await listAuthorities(engine, signal);
    const own = { pem: await authority.certificate(), node };
    const { name, isNew } = await publishAuthority(engine, own, before, signal);
    const authorities = isNew ? await listAuthorities(engine, signal) : before;
    const current = await this.#service(signal);
    // Of this node there is none but this agent's, whatever an earlier one left.
    const present = authorities.filter((one) => one.node !== node || one.name === name);
    const issuers = trusted(present, nodes);
    const certificates = await listCertificates(engine, signal);
    const chosen = usable(certificates, { issuers, ...this.#nowOf(current) });
    if (!leads(nodes, node) && !this.#standsIn(chosen, issuers, current)) return true;
    const certificate = chosen ?? (await this.#issue(name, issuers, signal));
    const changed = await this.#ensure(certificate, issuers, current, signal);
    if (changed || current?.UpdateStatus?.State === 'updating') return false;
    await this.#collect({ all: certificates, kept: [certificate] }, 'secret', signal);
    await this.#collect({ all: authorities, kept: issuers }, 'config', signal);
    return true;
  }

  /** Whether this member, which does not lead, is to do what the leader has not done for long. */
  #standsIn(
    chosen: Certificate | undefined,
    issuers: readonly Authority[],
    current: Service | undefined,
  ): boolean {
    const now = this.#options.engine.clock.monotonic();
    const { Configs = [] } = current?.Spec.TaskTemplate.ContainerSpec ?? {};
    const has = new Set(Configs.map(({ ConfigName }) => ConfigName));
    const isWhole = issuers.every(({ name }) => has.has(name));
    const isMissing = !isWhole || chosen === undefined || chosen.name !== inUse(current);
    this.#missingSince = isMissing ? (this.#missingSince ?? now) : undefined;
    return this.#missingSince !== undefined && now - this.#missingSince >= standInMs;
  }

  #nowOf(current: Service | undefined) {
    return { inUse: inUse(current), now: this.#options.engine.clock.now() };
  }

  async #issue(
    own: string,
    issuers: readonly Authority[],
    signal: AbortSignal,
  ): Promise<Certificate> {
    const { engine, authority } = this.#options;
    if (!issuers.some(({ name }) => name === own))
      throw new DriverError('DeployFailed', "this member's authority is not trusted");
    await issueCertificate(engine, authority, own, signal);
    const all = await listCertificates(engine, signal);
    const made = usable(all, { issuers, ...this.#nowOf(undefined) });
    if (!made) throw new DriverError('DeployFailed', "the helpers' new certificate has ended");
    return made;
  }

  async #service(signal: AbortSignal): Promise<Service | undefined> {
    const found = await this.#options.engine.services({ name: [helperServiceName] }, signal);
    const service = found.find(({ Spec }) => Spec.Name === helperServiceName);
    if (service && service.Spec.Labels[partLabel] !== 'helper')
      throw new DriverError('DeployFailed', `service ${helperServiceName} is another owner's`);
    return service;
  }

  async #ensure(
    certificate: Certificate,
    authorities: readonly Authority[],
    current: Service | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { engine, image, port, socketPath, facts } = this.#options;
    const wanted = helperService({ image, port, socketPath, certificate, authorities });
    const context = { engine, plan: {}, facts: await facts(signal), signal };
    const { changed } = await ensureService(wanted, current, undefined, context);
    if (changed)
      this.#options.logger.info("the nodes' helpers were changed", {
        certificate: certificate.name,
        authorities: authorities.length,
      });
    return changed;
  }

  /** Removes what is not kept. */
  async #collect(
    { all, kept }: { readonly all: readonly Named[]; readonly kept: readonly Named[] },
    kind: 'secret' | 'config',
    signal: AbortSignal,
  ): Promise<void> {
    const { engine } = this.#options;
    for (const { id, name } of all.filter((one) => !kept.some((other) => other.id === one.id)))
      await removed(
        engine.call(`remove ${kind} ${name}`, signal, (docker, call) =>
          (kind === 'secret' ? docker.getSecret(id) : docker.getConfig(id)).remove(call),
        ),
      );
  }
}

interface Named {
  readonly id: string;
  readonly name: string;
}

/** The secret of the certificate that the service has. */
const inUse = (service: Service | undefined): string | undefined =>
  service?.Spec.TaskTemplate.ContainerSpec.Secrets?.[0]?.SecretName;

function leads(nodes: readonly SwarmNode[], own: string): boolean {
  return nodes.find(({ ID }) => ID === own)?.ManagerStatus?.Leader ?? false;
}

/** What a pass depends on of a survey. */
function rolesOf({ info, nodes }: Survey): string {
  const managers = nodes.filter(({ ManagerStatus }) => ManagerStatus).map(({ ID }) => ID);
  return [leads(nodes, info.Swarm.NodeID), ...managers.sort()].join();
}
