/** A region for the tests of this room: a real tunnel server on loopback that gives certificates for a token. */
import type { Plan } from '@cloudlet/crds';
import {
  type Authority,
  createAuthority,
  createTunnelServer,
  formatJoin,
  type HubBackend,
  type InstanceReport,
  issueServer,
  mintToken,
  signAgentCsr,
  type SiteLink,
  type SiteReport,
  type TunnelServer,
} from '@cloudlet/tunnel';
import { type Secret, silentLogger, systemClock } from '@cloudlet/runtime/base';
import { hashOf } from './builders.ts';

/** Waits until `look` finds something; fails a test that would wait for ever. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false,
  timeoutMs = 60_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`did not happen: ${what}`);
    await systemClock.sleep(5);
  }
}

export class TestRegion implements AsyncDisposable {
  readonly reports: InstanceReport[] = [];
  readonly siteReports: SiteReport[] = [];
  readonly links: SiteLink[] = [];
  readonly plans: Plan[] = [];
  readonly #authority: Authority;
  readonly #server: TunnelServer;
  readonly #token: Secret;
  readonly hub: string;
  readonly enroll: string;

  private constructor(
    authority: Authority,
    server: TunnelServer,
    token: Secret,
    ports: { main: number; enroll: number },
  ) {
    this.#authority = authority;
    this.#server = server;
    this.#token = token;
    this.hub = `127.0.0.1:${ports.main}`;
    this.enroll = `127.0.0.1:${ports.enroll}`;
  }

  static async start(): Promise<TestRegion> {
    const authority = await createAuthority();
    const issued = await issueServer(authority, { role: 'hub', hosts: ['127.0.0.1'] });
    const token = mintToken();
    const server = createTunnelServer({
      backend: backendOf(() => region),
      tls: { ca: authority.certificatePem, cert: issued.certificatePem, key: issued.keyPem },
      hubName: 'hub-0',
      logger: silentLogger,
    });
    const { main, enroll } = await server.listen({ host: '127.0.0.1', port: 0, enrollPort: 0 });
    const ports = { main: main.port, enroll: enroll.port };
    const region = new TestRegion(authority, server, token, ports);
    return region;
  }

  /** What `kubectl cloudlet join` would print; `hub` is another way to the hub. */
  join(hub = this.hub): string {
    return formatJoin({
      cloudlet: 'berlin',
      hub,
      enroll: this.enroll,
      token: this.#token,
      caPin: this.#authority.pin,
    });
  }

  async issue(csrPem: string, shown: string | undefined) {
    if (shown !== this.#token.reveal()) return undefined;
    const request = { csrPem, cloudlet: 'berlin', cloudletId: 'id-berlin' };
    const { certificatePem } = await signAgentCsr(this.#authority, request);
    return { certificate: certificatePem, ca: this.#authority.certificatePem };
  }

  /** Gives every link the plan, and those that come later. */
  place(plan: Plan): void {
    this.plans.push(plan);
    this.link?.sendPlan(plan, hashOf(plan));
  }

  /** The link that is up. */
  get link(): SiteLink | undefined {
    return this.links.findLast(({ closed }) => !closed.aborted);
  }

  condition(type: string, id = 'id-1'): string | undefined {
    const report = this.reports.findLast((candidate) => candidate.id === id);
    const found = report?.status.conditions.find((condition) => condition.type === type);
    return found && `${found.status} ${found.reason}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
  }
}

function backendOf(region: () => TestRegion): HubBackend {
  return {
    admit: () => Promise.resolve({ admitted: true, cloudletUid: 'uid-berlin' }),
    connected(link) {
      region().links.push(link);
      const have = new Map(link.hello.have.map((item) => [item.id, item.hash]));
      for (const plan of region().plans)
        if (have.get(plan.id) !== hashOf(plan)) link.sendPlan(plan, hashOf(plan));
      link.sendSynced([]);
    },
    turnedAway: () => undefined,
    roleChanged: () => undefined,
    left: () => undefined,
    async instanceReport(_link, report) {
      region().reports.push(report);
      return { result: 'Applied' };
    },
    async siteReport(_link, report) {
      region().siteReports.push(report);
      return { result: 'Applied' };
    },
    alive: () => undefined,
    async enroll(request) {
      const issued = await region().issue(request.csr, request.token);
      if (issued) return { state: 'Issued', ...issued };
      return { state: 'Refused', reason: 'BadToken', message: 'the token is not the one' };
    },
  };
}
