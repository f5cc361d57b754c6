/**
 * A region and its sites for the tests of this room: real certificates, real TLS on loopback, and a backend
 * that keeps what it is told and answers as the test says.
 */
import { EventEmitter, once } from 'node:events';
import type { Plan, Removal } from '@cloudlet/crds';
import { type Logger, silentLogger, systemClock, type Clock } from '@cloudlet/runtime/base';
import { createTunnelClient, type TunnelClientOptions } from './agent/client.ts';
import type { TunnelClient, TunnelHandler, WelcomeInfo } from './agent/handler.ts';
import type {
  Admission,
  EnrollPeer,
  HubBackend,
  ReportResult,
  SiteIdentity,
  SiteLink,
  TurnedAway,
} from './hub/backend.ts';
import type { TunnelLimits, TunnelMetrics } from './hub/options.ts';
import { createTunnelServer, type TunnelServer } from './hub/server.ts';
import {
  createAgentCsr,
  createAuthority,
  createKey,
  createMemoryIdentityStore,
  issueServer,
  signAgentCsr,
  type Authority,
  type IdentityStore,
} from './identity/index.ts';
import type {
  EnrollReply,
  EnrollRequest,
  Have,
  InstanceReport,
  PlanHead,
  SessionRequest,
  SiteReport,
} from './wire.ts';

/** Fails a test that would otherwise wait for ever. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false,
  timeoutMs = 10_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`did not happen: ${what}`);
    await systemClock.sleep(2);
  }
}

/** The region as the tunnel sees it. Everything that a test may want to answer otherwise is a field. */
export class RecordingBackend implements HubBackend {
  readonly links: SiteLink[] = [];
  readonly reports: InstanceReport[] = [];
  readonly siteReports: SiteReport[] = [];
  readonly turnedAways: { identity: SiteIdentity; member: TurnedAway }[] = [];
  readonly enrolments: { request: EnrollRequest; peer: EnrollPeer }[] = [];
  readonly events = new EventEmitter();
  aliveCalls = 0;
  onAdmit: (identity: SiteIdentity) => Admission | Promise<Admission> = () => ({
    admitted: true,
    cloudletUid: 'uid-1',
  });
  onConnected: (link: SiteLink) => void = (link) => link.sendSynced([]);
  onReport: (report: InstanceReport, link: SiteLink, signal: AbortSignal) => Promise<ReportResult> =
    () => Promise.resolve({ result: 'Applied' });
  onEnroll: (request: EnrollRequest, peer: EnrollPeer) => Promise<EnrollReply> = () =>
    Promise.resolve({ state: 'Refused', reason: 'BadToken', message: 'no' });

  async admit(identity: SiteIdentity): Promise<Admission> {
    return this.onAdmit(identity);
  }
  connected(link: SiteLink): void {
    this.links.push(link);
    this.onConnected(link);
    this.events.emit('connected', link);
  }
  turnedAway(identity: SiteIdentity, member: TurnedAway): void {
    this.turnedAways.push({ identity, member });
  }
  roleChanged(link: SiteLink): void {
    this.events.emit('role', link);
  }
  instanceReport(
    link: SiteLink,
    report: InstanceReport,
    signal: AbortSignal,
  ): Promise<ReportResult> {
    this.reports.push(report);
    return this.onReport(report, link, signal);
  }
  async siteReport(_link: SiteLink, report: SiteReport): Promise<ReportResult> {
    this.siteReports.push(report);
    return { result: 'Applied' };
  }
  left(link: SiteLink): void {
    this.events.emit('left', link);
  }
  alive(): void {
    this.aliveCalls++;
  }
  enroll(request: EnrollRequest, peer: EnrollPeer): Promise<EnrollReply> {
    this.enrolments.push({ request, peer });
    return this.onEnroll(request, peer);
  }
}

/** The agent as the tunnel sees it. */
export class RecordingHandler implements TunnelHandler {
  readonly plans = new Map<string, { plan: Plan; hash: string }>();
  readonly unreadables: PlanHead[] = [];
  readonly removals: Removal[] = [];
  readonly forgotten: string[] = [];
  readonly synchronizations: (readonly string[])[] = [];
  readonly welcomes: WelcomeInfo[] = [];
  readonly disconnects: string[] = [];
  readonly events = new EventEmitter();
  isActive = true;
  isDeputy = false;
  hasLeft = false;
  onPlan: (plan: Plan) => Promise<void> = () => Promise.resolve();
  onSession: TunnelHandler['session'] = async (_request, stream) => {
    for await (const chunk of stream) stream.write(chunk);
  };

  have(): readonly Have[] {
    return [...this.plans.values()].map(({ plan, hash }) => ({
      ...{ id: plan.id, sequence: plan.sequence, hash },
    }));
  }
  active(): boolean {
    return this.isActive;
  }
  welcomed(info: WelcomeInfo): void {
    this.welcomes.push(info);
  }
  async plan(plan: Plan, hash: string): Promise<void> {
    await this.onPlan(plan);
    this.plans.set(plan.id, { plan, hash });
  }
  async unreadable(head: PlanHead): Promise<void> {
    this.unreadables.push(head);
  }
  async remove(removal: Removal): Promise<void> {
    this.removals.push(removal);
    this.plans.delete(removal.id);
  }
  async forget(id: string): Promise<void> {
    this.forgotten.push(id);
  }
  synced(orphans: readonly string[]): void {
    this.synchronizations.push(orphans);
    this.events.emit('synced');
  }
  deputize(acts: boolean): void {
    this.isDeputy = acts;
  }
  async leave(): Promise<void> {
    this.hasLeft = true;
  }
  session(
    request: SessionRequest,
    stream: Parameters<TunnelHandler['session']>[1],
    signal: AbortSignal,
  ): Promise<void> {
    return this.onSession(request, stream, signal);
  }
  disconnected(reason: string): void {
    this.disconnects.push(reason);
  }
}

export interface Region extends AsyncDisposable {
  readonly authority: Authority;
  readonly backend: RecordingBackend;
  readonly server: TunnelServer;
  readonly hub: string;
  readonly enroll: string;
  /** Starts an agent; it ends with the region. */
  agent(options?: Partial<TunnelClientOptions>): Promise<Agent>;
  /** A store that holds a certificate of a site already. */
  enrolled(cloudlet?: string, life?: { days?: number; now?: number }): Promise<IdentityStore>;
}

export interface Agent {
  readonly client: TunnelClient;
  readonly handler: RecordingHandler;
  stop(): Promise<void>;
}

export interface RegionOptions {
  readonly clock?: Clock;
  readonly limits?: Partial<TunnelLimits>;
  readonly metrics?: TunnelMetrics;
  readonly logger?: Logger;
  /** That of another replica of one region. @default one of its own */
  readonly authority?: Authority;
}

export async function aRegion(options: RegionOptions = {}): Promise<Region> {
  const authority = options.authority ?? (await createAuthority());
  const issued = await issueServer(authority, { role: 'hub', hosts: ['localhost', '127.0.0.1'] });
  const backend = new RecordingBackend();
  const server = createTunnelServer({
    backend,
    tls: { ca: authority.certificatePem, cert: issued.certificatePem, key: issued.keyPem },
    hubName: 'hub-0',
    logger: silentLogger,
    ...options,
  });
  const { main, enroll } = await server.listen({ host: '127.0.0.1', port: 0, enrollPort: 0 });
  const agents: Agent[] = [];
  const region: Region = {
    authority,
    backend,
    server,
    hub: `127.0.0.1:${main.port}`,
    enroll: `127.0.0.1:${enroll.port}`,
    async enrolled(cloudlet = 'site-1', life = {}) {
      const keyPem = createKey();
      const csrPem = await createAgentCsr(keyPem, cloudlet);
      const { certificatePem } = await signAgentCsr(authority, {
        ...{ csrPem, cloudlet, cloudletId: `id-of-${cloudlet}` },
        ...life,
      });
      return createMemoryIdentityStore({
        ...{ keyPem, certificatePem },
        caPem: authority.certificatePem,
      });
    },
    async agent(more = {}) {
      const handler = (more.handler as RecordingHandler | undefined) ?? new RecordingHandler();
      const client = createTunnelClient({
        ...{ hub: region.hub, enroll: region.enroll, cloudlet: 'site-1', handler },
        ...{ member: 'phone-1', agentVersion: '0.1.0', logger: silentLogger },
        store: more.store ?? (await region.enrolled()),
        ...(options.clock && { clock: options.clock }),
        ...more,
      });
      const stopping = new AbortController();
      const running = client.run(stopping.signal);
      const agent: Agent = {
        client,
        handler,
        stop() {
          stopping.abort(new Error('the test is over'));
          return running;
        },
      };
      agents.push(agent);
      return agent;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(agents.map((agent) => agent.stop()));
      await server.close();
    },
  };
  return region;
}

/** The link of the agent that connects next, or did already. */
export async function linkOf(region: Region): Promise<SiteLink> {
  const last = region.backend.links.at(-1);
  if (last && !last.closed.aborted) return last;
  const [link] = (await once(region.backend.events, 'connected')) as [SiteLink];
  return link;
}

export function aPlan(id: string, sequence = 1): Plan {
  return {
    ...{ id, sequence, cloudlet: 'site-1' },
    object: { namespace: 'acme', name: `inst-${id}`, uid: `uid-${id}`, generation: 1 },
    app: { name: 'shop', version: '1', revision: 'shop-1' },
    workload: { kind: 'Compose', compose: 'services: {}' },
  };
}

export function aReport(id: string, sequence = 1): InstanceReport {
  return {
    id,
    object: { namespace: 'acme', name: `inst-${id}` },
    status: {
      site: { uid: `uid-${id}`, boot: 'boot-1', sequence, placement: 1 },
      conditions: [],
    },
  };
}
