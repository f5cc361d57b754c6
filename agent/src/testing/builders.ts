/** Builders for tests: plans, removals, observations and an agent with everything real but the tunnel. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Plan, Removal } from '@cloudlet/crds';
import type { Driver } from '@cloudlet/drivers';
import type { InstanceReport, SiteReport } from '@cloudlet/tunnel';
import { contentHash, type FakeClock, silentLogger } from '@cloudlet/runtime/base';
import { Agent, type AgentOptions } from '../agent.ts';
import { SiteClock } from '../site-clock.ts';
import { openStore, type Store } from '../store/index.ts';

export function aPlan(change: Partial<Plan> & { readonly name?: string } = {}): Plan {
  const { name = 'shop', ...rest } = change;
  const id = rest.id ?? 'id-1';
  return {
    id,
    sequence: 1,
    object: { namespace: 'acme', name, uid: `uid-${id}`, generation: 1 },
    cloudlet: 'berlin',
    app: { name: 'shop', version: '1', revision: `shop-r${rest.sequence ?? 1}` },
    workload: { kind: 'Image', image: 'shop:1' },
    ...rest,
  };
}

export const aRemoval = (change: Partial<Removal> = {}): Removal => ({
  id: 'id-1',
  sequence: 2,
  ...change,
});

export const hashOf = (plan: Plan): string => contentHash(plan, 32);

/** What the agent sent up, in order. */
export class RecordingUplink {
  readonly reports: InstanceReport[] = [];
  readonly sites: SiteReport[] = [];
  active = false;

  report(report: InstanceReport): void {
    this.reports.push(report);
  }
  reportSite(report: SiteReport): void {
    this.sites.push(report);
  }
  setActive(active: boolean): void {
    this.active = active;
  }
  /** The latest report of an instance. */
  latest(id = 'id-1'): InstanceReport | undefined {
    return this.reports.findLast((report) => report.id === id);
  }
  condition(type: string, id = 'id-1'): string {
    const found = this.latest(id)?.status.conditions.find((condition) => condition.type === type);
    return found ? `${found.status} ${found.reason}` : 'none';
  }
}

export async function aFolder(t: { after(fn: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cloudlet-agent-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }));
  return folder;
}

export const features = ['ports', 'compose', 'files', 'volumes', 'adopt'];

export const openTestStore = (folder: string): Promise<Store> =>
  openStore({ folder, agentVersion: 'test', features, logger: silentLogger });

/** One life of an agent: made, run, and ended by `stop`. */
export class Life {
  readonly agent: Agent;
  readonly uplink = new RecordingUplink();
  readonly store: Store;
  readonly clock: FakeClock;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;

  private constructor(agent: Agent, store: Store, clock: FakeClock) {
    this.agent = agent;
    this.store = store;
    this.clock = clock;
    agent.attach(this.uplink);
    this.#running = agent.run(this.#abort.signal);
  }

  static async start(
    folder: string,
    driver: Driver,
    clock: FakeClock,
    change: Partial<AgentOptions> = {},
  ): Promise<Life> {
    const store = await openTestStore(folder);
    const agent = new Agent({
      driver,
      store,
      clock: new SiteClock(clock, store.site.value.lastGoodTime),
      logger: silentLogger,
      sessions: { open: 0, serve: () => Promise.resolve() },
      boot: `boot-${Math.random()}`,
      agentVersion: 'test',
      features,
      random: () => 0.5,
      ...change,
    });
    const life = new Life(agent, store, clock);
    await life.pass(0);
    return life;
  }

  /** As the hub does on a connect: welcome, then what it has, then `synced`. */
  async connect(plans: readonly Plan[] = [], orphans: readonly string[] = []): Promise<void> {
    this.agent.welcomed({ hub: 'hub-1', cloudlet: 'berlin', cloudletUid: 'uid-berlin', skewMs: 0 });
    for (const plan of plans) await this.agent.plan(plan, hashOf(plan));
    this.agent.synced(orphans);
    await this.pass(0);
  }

  /** Lets time pass on the clock and disk writes end, turn by turn. */
  async pass(ms: number): Promise<void> {
    const stepMs = Math.max(1, Math.ceil(ms / 50));
    for (let passed = 0; passed <= ms; passed += stepMs) {
      await this.clock.advance(passed === 0 ? 0 : stepMs);
      await this.store.idle();
      await this.clock.advance(0);
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('the test ends the agent'));
    await this.pass(100);
    await this.#running;
    await this.store.idle();
  }
}
