/**
 * The region behind the tunnel: lets members in, keeps them told, brings their reports home.
 *
 * Guarantees: a member is told nothing and heard in nothing before its Cloudlet admits it, and is cut off
 * the moment that it does not any more; only the member that acts for its site reports; what a site says is
 * checked here (`wall.ts`) before the API server's policies check it again.
 */
import type { Cloudlet } from '@cloudlet/crds';
import { type Clock, describeError, type Logger, policyOf } from '@cloudlet/runtime/base';
import {
  type Admission,
  type EnrollPeer,
  type EnrollReply,
  type EnrollRequest,
  type HubBackend,
  type InstanceReport,
  refusals,
  type ReportResult,
  type SiteIdentity,
  type SiteLink,
  type SiteReport,
  type SiteSpan,
  type TurnedAway,
} from '@cloudlet/tunnel';
import { admissionOf } from './admission.ts';
import type { Enrolment } from './enrolment.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { rearmed, rightfulBoot } from './lease-record.ts';
import { Leaving } from './leaving.ts';
import type { HubMetrics } from './metrics.ts';
import { type Order, orderOf } from './orders.ts';
import type { Region } from './region.ts';
import { Removals } from './removals.ts';
import { RenderCache } from './render-cache.ts';
import type { Reports } from './reports.ts';
import type { SiteLeases } from './site-leases.ts';
import { Site } from './site.ts';
import { SiteStream } from './stream.ts';
import type { HubTracing } from './tracing.ts';
import {
  checkInstanceReport,
  checkSiteReport,
  isPlacedHere,
  recordsRemoval,
  type Refusal,
  type ReportView,
} from './wall.ts';

export interface BackendOptions {
  readonly hubName: string;
  readonly region: Region;
  readonly leases: SiteLeases;
  readonly enrolment: Enrolment;
  readonly reports: Reports;
  readonly metrics: HubMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where there is a collector. */
  readonly tracing?: HubTracing | undefined;
}

/** Managers of a swarm beyond seven slow it down. */
const maxMembers = 7;
const tooManyMembers: Admission = {
  admitted: false,
  reason: refusals.TooManyMembers,
  message: `${maxMembers} members of the site are connected: as many as may be`,
};

const dropped = (message: string): ReportResult => ({ result: 'Dropped', message });

/** One that says it acts may do so again in a moment; a warm one has nothing to report. */
const notActing = (link: SiteLink): ReportResult => ({
  result: link.active ? 'Retry' : 'Dropped',
  message: 'this member does not act for its site',
});

export class RegionBackend implements HubBackend {
  readonly #options: BackendOptions;
  readonly #sites = new Map<string, Site>();
  readonly #renders = new RenderCache();
  readonly #removals: Removals;
  readonly #keeper: LeaseKeeper;
  readonly #leaving: Leaving;

  constructor(options: BackendOptions) {
    this.#options = options;
    this.#removals = new Removals(options.leases, options.region);
    this.#keeper = new LeaseKeeper({
      ...options,
      onDuplicate: (site, boots) => this.#refuseBoots(site, boots),
    });
    this.#leaving = new Leaving(options);
    options.region.subscribe({
      touched: (site, id) => this.#touched(site, id),
      cloudletChanged: (name, cloudlet) => this.#cloudletChanged(name, cloudlet),
      appInstGone: (uid) => this.#renders.forget(uid),
    });
  }

  /** The member that acts for the site here, else any that is connected. */
  linkOf(cloudlet: string): SiteLink | undefined {
    const site = this.#sites.get(cloudlet);
    return site?.acting ?? site?.links[0];
  }

  /** The hub drains: Leases stay as they are, for the next replica to renew. */
  stop(): void {
    this.#keeper.stop();
  }

  async admit(identity: SiteIdentity): Promise<Admission> {
    const admission = this.#isFull(identity) ? tooManyMembers : this.#admissionOf(identity);
    const result = admission.admitted ? 'Admitted' : admission.reason;
    this.#options.metrics.admissions.inc({ result });
    return admission;
  }

  connected(link: SiteLink): void {
    const { cloudlet } = link.identity;
    const { metrics, region, tracing } = this.#options;
    const site = this.#sites.get(cloudlet) ?? this.#newSite(cloudlet);
    const stream = new SiteStream({
      link,
      tracing: tracing?.plansTo(link),
      idsOf: () => region.idsOf(cloudlet),
      orderOf: (id) => this.#orderOf(cloudlet, id),
      isOnRecord: (id, sequence) => this.#removals.isOnRecord(cloudlet, id, sequence),
      onRemoved: (id, sequence) => void this.#recordRemoval(link, id, sequence),
      onAhead: (id) => this.#ahead(cloudlet, id),
      onSent: (kind) => metrics.orders.inc({ kind }),
    });
    metrics.links.inc();
    link.closed.addEventListener('abort', () => metrics.links.dec(), { once: true });
    site.add(link, stream);
    stream.start();
    this.#keeper.letIn(link);
    this.#leaving.consider(cloudlet, site.links);
  }

  turnedAway(identity: SiteIdentity, member: TurnedAway): void {
    this.#options.metrics.admissions.inc({ result: member.reason });
    this.#keeper.turnAway(identity, member);
  }

  roleChanged(link: SiteLink): void {
    this.#sites.get(link.identity.cloudlet)?.roleChanged(link);
  }

  left(link: SiteLink): void {
    this.#leaving.left(link);
  }

  alive(link: SiteLink): void {
    this.#sites.get(link.identity.cloudlet)?.alive(link);
  }

  enroll(request: EnrollRequest, peer: EnrollPeer, signal: AbortSignal): Promise<EnrollReply> {
    return this.#options.enrolment.enroll(request, peer, signal);
  }

  async instanceReport(
    link: SiteLink,
    report: InstanceReport,
    signal: AbortSignal,
    spans?: readonly SiteSpan[],
  ): Promise<ReportResult> {
    const { cloudlet } = link.identity;
    if (!this.#isActing(link)) return notActing(link);
    const view = this.#reportView(link, report.id);
    const { placement, removed } = report.status.site;
    if (removed && !view.entry && !view.tombstone) {
      // The region has settled it already: let the site forget.
      this.#sites.get(cloudlet)?.stream(link)?.removed(report.id, placement);
      return { result: 'Applied' };
    }
    const refusal = checkInstanceReport(report, view);
    if (refusal) return this.#refused('AppInst', cloudlet, refusal);
    const { reports, tracing } = this.#options;
    const began = tracing?.now() ?? 0;
    const written: ReportResult = isPlacedHere(report, view)
      ? await reports.applyInstance(cloudlet, report, signal)
      : { result: 'Applied' };
    tracing?.reported(link, report, { began, result: written, spans });
    if (!recordsRemoval(report, view, written)) return written;
    return this.#recordRemoval(link, report.id, placement);
  }

  async siteReport(link: SiteLink, report: SiteReport, signal: AbortSignal): Promise<ReportResult> {
    const { cloudlet: name } = link.identity;
    if (!this.#isActing(link)) return notActing(link);
    const view = { boot: link.hello.boot, cloudlet: this.#options.region.cloudlet(name) };
    const refusal = checkSiteReport(report, view);
    if (refusal) return this.#refused('Cloudlet', name, refusal);
    return this.#options.reports.applySite(name, report, signal);
  }

  #touched(name: string, id: string): void {
    const site = this.#sites.get(name);
    site?.touch(id);
    if (site) this.#leaving.consider(name, site.links);
  }

  #isFull({ cloudlet, fingerprint }: SiteIdentity): boolean {
    const links = this.#sites.get(cloudlet)?.links ?? [];
    const keys = new Set(links.map((link) => link.identity.fingerprint));
    return !keys.has(fingerprint) && keys.size >= maxMembers;
  }

  #isActing(link: SiteLink): boolean {
    return this.#sites.get(link.identity.cloudlet)?.acting === link;
  }

  #reportView(link: SiteLink, id: string): ReportView {
    const site = link.identity.cloudlet;
    const { appInst, entry, tombstone } = this.#options.region.instance(site, id);
    return { site, boot: link.hello.boot, appInst, entry, tombstone };
  }

  #refused(kind: string, cloudlet: string, refusal: Refusal): ReportResult {
    const { metrics } = this.#options;
    const logger = this.#sites.get(cloudlet)?.mistakes ?? this.#options.logger;
    metrics.refusals.inc({ wall: 'hub', reason: refusal.reason });
    metrics.reports.inc({ kind, result: 'Dropped' });
    logger.warn('refused a report', { cloudlet, kind, ...refusal });
    return dropped(refusal.message);
  }

  /** The site removed the instance: on record first, then every member may treat it so. */
  async #recordRemoval(link: SiteLink, id: string, sequence: number): Promise<ReportResult> {
    const { cloudlet } = link.identity;
    try {
      if (!(await this.#removals.record(cloudlet, id, sequence)))
        return { result: 'Retry', message: 'too many removals wait for the operator' };
    } catch (error) {
      this.#options.logger.log(policyOf(error).log, 'cannot record a removal', { cloudlet, error });
      return { result: 'Retry', message: describeError(error).slice(0, 1024) };
    }
    const site = this.#sites.get(cloudlet);
    for (const member of site?.links ?? []) site?.stream(member)?.removed(id, sequence);
    return { result: 'Applied' };
  }

  #orderOf(site: string, id: string): Order {
    const { region, metrics, logger } = this.#options;
    try {
      return orderOf(region.instance(site, id), (input) => this.#renders.render(input));
    } catch (error) {
      metrics.held.inc();
      logger.error('cannot render a plan', { cloudlet: site, instance: id, error });
      return { kind: 'hold', reason: describeError(error) };
    }
  }

  #ahead(cloudlet: string, instance: string): void {
    this.#options.metrics.ahead.inc();
    this.#options.logger.warn('a site has a later plan than the region', { cloudlet, instance });
  }

  #admissionOf(identity: SiteIdentity): Admission {
    const { region, enrolment } = this.#options;
    return admissionOf(identity, {
      cloudlet: region.cloudlet(identity.cloudlet),
      lease: region.siteLease(identity.cloudlet),
      justIssued: (fingerprint) => enrolment.justIssued(fingerprint),
    });
  }

  #cloudletChanged(name: string, cloudlet: Cloudlet | undefined): void {
    for (const link of this.#sites.get(name)?.links ?? []) {
      const admission = this.#admissionOf(link.identity);
      if (admission.admitted) continue;
      this.#options.logger.info('cut off a member', { cloudlet: name, reason: admission.reason });
      link.refuse(admission.reason, admission.message);
    }
    this.#leaving.consider(name, this.#sites.get(name)?.links ?? []);
    const lease = this.#options.region.siteLease(name);
    if (cloudlet && lease && rearmed(lease, cloudlet)) this.#keeper.rearm(name, cloudlet);
    if (!cloudlet) this.#sites.delete(name);
  }

  #refuseBoots(name: string, boots: readonly string[]): void {
    const message = 'two agents with keys of this site contest it: accept the key of one again';
    for (const link of this.#sites.get(name)?.links ?? [])
      if (boots.includes(link.hello.boot)) link.refuse(refusals.DuplicateAgent, message);
  }

  #newSite(name: string): Site {
    const { clock, logger, metrics } = this.#options;
    const site = new Site({
      name,
      clock,
      logger,
      onActing: (link, keyOf) => this.#keeper.acquire(link, keyOf),
      onStoodDown: (boot) => this.#keeper.standDown(name, boot),
      onLost: (boot) => this.#keeper.release(name, boot),
      holder: () => rightfulBoot(this.#options.region.siteLease(name), clock.now()),
      onEmpty: () => {
        if (this.#sites.get(name) === site) this.#sites.delete(name);
        metrics.sites.set(this.#sites.size);
      },
    });
    this.#sites.set(name, site);
    metrics.sites.set(this.#sites.size);
    return site;
  }
}
