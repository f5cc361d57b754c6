/**
 * One live connection of one member of a site, from its hello to its end.
 *
 * Guarantees: `closed` aborts exactly once, with the reason; after it nothing is sent and no report reaches
 * the backend; calls on a closed link do nothing.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Plan, Removal } from '@cloudlet/crds';
import { ProtocolError, UnreachableError, withDeadline, type Logger } from '@cloudlet/runtime/base';
import type { AgentMessage, HubMessage, SessionRequest } from '../wire.ts';
import { limits, timing } from '../wire.ts';
import type { DrainTimes, HelloInfo, SiteIdentity, SiteLink } from './backend.ts';
import { DialBacks } from './dial-backs.ts';
import type { TunnelContext } from './options.ts';
import { Outbox } from './outbox.ts';
import { ReportIntake } from './reports.ts';
import { Throttle } from './throttle.ts';

/** Time for the last lines to reach the agent before the connection is cut. */
const lingerMs = 1_000;
/** An agent that lives answers a ping within this, whatever it does. */
const answerMs = 5_000;

export interface LinkOptions {
  readonly context: TunnelContext;
  readonly logger: Logger;
  readonly identity: SiteIdentity;
  readonly hello: HelloInfo;
  readonly control: ServerHttp2Stream;
  /** Cuts the connection. */
  readonly disconnect: () => void;
}

export class Link implements SiteLink {
  readonly identity: SiteIdentity;
  readonly hello: HelloInfo;
  readonly closed: AbortSignal;
  readonly sessions: DialBacks;
  readonly reports: ReportIntake;
  readonly #options: LinkOptions;
  readonly #outbox: Outbox;
  readonly #roles: Throttle;
  readonly #ending = new AbortController();
  #active: boolean;
  #lastAliveMs: number;

  constructor(options: LinkOptions) {
    const { context, identity, hello, logger } = options;
    this.#options = options;
    this.identity = identity;
    this.hello = hello;
    this.closed = this.#ending.signal;
    this.#active = hello.active;
    this.#lastAliveMs = context.clock.monotonic();
    this.sessions = new DialBacks(context.clock, context.limits.dialBackMs);
    this.#roles = new Throttle([context.limits.roles], context.clock, () =>
      context.metrics.limited?.('Roles'),
    );
    this.#outbox = new Outbox(options.control, {
      overflow: (error) => this.end(error),
      unfit: (message, error) => logger.error('message left out', { type: message.t, error }),
    });
    this.reports = new ReportIntake({
      rate: context.limits.reports,
      maxWaiting: context.limits.maxReportsWaiting,
      clock: context.clock,
      logger,
      answer: (n, result) => this.#send({ t: 'ack', n, ...result }),
      held: () => context.metrics.limited?.('Reports'),
      observe: (result, seconds) => context.metrics.report?.(result, seconds),
      signal: this.closed,
    });
  }

  get active(): boolean {
    return this.#active;
  }

  welcome(message: Extract<HubMessage, { t: 'welcome' }>): void {
    this.#send(message);
  }

  sendPlan(plan: Plan, hash: string, trace?: string): void {
    this.#sendLatest(plan.id, { t: 'plan', hash, plan, ...(trace === undefined ? {} : { trace }) });
  }

  sendRemoval(removal: Removal): void {
    this.#sendLatest(removal.id, { t: 'remove', removal });
  }

  sendForget(id: string): void {
    this.#sendLatest(id, { t: 'forget', id });
  }

  sendSynced(orphans: readonly string[]): void {
    if (this.closed.aborted) return;
    const named = orphans.slice(0, limits.maxInstances);
    if (named.length < orphans.length)
      this.#options.logger.warn('orphans left out', { orphans: orphans.length });
    this.#outbox.sendLast(' synced', { t: 'synced', orphans: named });
  }

  async answers(): Promise<boolean> {
    const { control, context } = this.#options;
    const { session } = control;
    if (this.closed.aborted || !session || session.destroyed) return false;
    const ping = (): Promise<void> =>
      new Promise((resolve, reject) => {
        session.ping((error) => (error ? reject(error) : resolve()));
      });
    return withDeadline('ping', answerMs, context.clock, ping, this.closed).then(
      () => true,
      () => false,
    );
  }

  deputize(acts: boolean): void {
    this.#send({ t: 'deputize', acts });
  }

  sendLeave(): void {
    this.#send({ t: 'leave' });
  }

  async openSession(request: SessionRequest, signal: AbortSignal): Promise<Duplex> {
    const { clock, metrics } = this.#options.context;
    const start = clock.monotonic();
    const either = AbortSignal.any([signal, this.closed]);
    either.throwIfAborted();
    const ask = (): void => this.#send({ t: 'open', session: request });
    try {
      const stream = await this.sessions.await(encodeURIComponent(request.id), ask, either);
      metrics.session?.('Opened', (clock.monotonic() - start) / 1000);
      return stream;
    } catch (error) {
      metrics.session?.('Failed', (clock.monotonic() - start) / 1000);
      throw error;
    }
  }

  drain(times: DrainTimes): void {
    this.#send({ t: 'drain', ...times });
    this.#options.context.clock.after(times.withinMs + lingerMs, () =>
      this.end(new UnreachableError('the hub drained the connection')),
    );
  }

  refuse(reason: string, message: string): void {
    this.#send({ t: 'refuse', reason, message: message.slice(0, 1024) });
    this.end(new UnreachableError(`refused: ${reason}: ${message}`), lingerMs);
  }

  /** Ends the link; the connection is cut when what was written had `afterMs` to leave. */
  end(reason: Error, afterMs = 0): void {
    if (this.closed.aborted) return;
    this.#ending.abort(reason);
    const { control, disconnect, context } = this.#options;
    if (afterMs === 0) {
      disconnect();
      return;
    }
    control.end();
    context.clock.after(afterMs, disconnect);
  }

  /** A byte arrived from the site. */
  heard(): void {
    const now = this.#options.context.clock.monotonic();
    if (this.closed.aborted || now - this.#lastAliveMs < timing.leaseRenewMs) return;
    this.#lastAliveMs = now;
    this.#options.context.backend.alive(this);
  }

  /** @throws ProtocolError when the message may not come now. */
  async received(message: AgentMessage, bytes: number): Promise<void> {
    const { backend } = this.#options.context;
    switch (message.t) {
      case 'hello':
        throw new ProtocolError('a second hello');
      case 'role':
        if (this.#active === message.active) return;
        await this.#roles.pass([1], this.closed);
        if (this.closed.aborted) return;
        this.#active = message.active;
        backend.roleChanged(this);
        return;
      case 'left':
        backend.left(this);
        return;
      case 'report':
        this.#offer(`instance ${message.report.id}`, message.n, bytes, () =>
          backend.instanceReport(this, message.report, this.closed, message.spans),
        );
        return this.reports.room();
      case 'site':
        this.#offer('site', message.n, bytes, () =>
          backend.siteReport(this, message.report, this.closed),
        );
        return this.reports.room();
    }
  }

  /** Answers a report that no backend will see. */
  drop(n: number, message: string): void {
    this.#send({ t: 'ack', n, result: 'Dropped', message: message.slice(0, 1024) });
  }

  #offer(key: string, n: number, bytes: number, apply: Parameters<ReportIntake['offer']>[2]): void {
    if (bytes <= limits.maxReportBytes) {
      this.reports.offer(key, n, apply);
      return;
    }
    this.drop(n, `a report of ${bytes} bytes is longer than ${limits.maxReportBytes}`);
  }

  #send(message: HubMessage): void {
    if (!this.closed.aborted) this.#outbox.send(message);
  }

  #sendLatest(id: string, message: HubMessage): void {
    if (!this.closed.aborted) this.#outbox.sendLatest(id, message);
  }
}
