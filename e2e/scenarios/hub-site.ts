/**
 * A site whose agent the test plays: a real tunnel with a real certificate, and nothing behind it but lists
 * of what the region said.
 */
import type { Duplex } from 'node:stream';
import type { Plan, Removal } from '@cloudlet/crds';
import { type Logger, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createMemoryIdentityStore,
  createTunnelClient,
  type EnrollReply,
  type Have,
  type IdentityStore,
  type InstanceReport,
  parseJoin,
  type SessionRequest,
  type TunnelClient,
  type WelcomeInfo,
} from '@cloudlet/tunnel';
import { joinOf, type Region, until } from '../testbed/index.ts';

export interface PlayedSite extends AsyncDisposable {
  readonly boot: string;
  readonly caPin: string;
  readonly store: IdentityStore;
  readonly client: TunnelClient;
  readonly welcomes: readonly WelcomeInfo[];
  readonly replies: readonly EnrollReply[];
  readonly plans: readonly Plan[];
  readonly removals: readonly Removal[];
  readonly forgotten: readonly string[];
  readonly disconnects: readonly string[];
  /** The report of an honest agent about a plan. */
  reportOf(plan: Plan, more?: Partial<InstanceReport['status']>): InstanceReport;
}

export interface PlayOptions {
  readonly region: Region;
  readonly cloudlet: string;
  readonly member: string;
  /** Authority to expect, instead of a join: the agent then shows no token. */
  readonly caPin?: string;
  readonly logger?: Logger;
  /** Key and certificate of another member: a clone of it. */
  readonly store?: IdentityStore;
  /** Of another version of the agent. */
  readonly wireVersions?: { readonly min: number; readonly max: number };
  readonly session?: (request: SessionRequest, stream: Duplex) => Promise<void>;
}

const at = '2026-01-01T00:00:00Z';

/** An agent's condition that is well. */
export const well = (type: 'Deployed' | 'Healthy') => ({
  type,
  status: 'True' as const,
  reason: type,
  message: '',
  lastTransitionTime: at,
});

export async function playSite(options: PlayOptions): Promise<PlayedSite> {
  const { region, cloudlet, member } = options;
  const join =
    options.caPin === undefined
      ? parseJoin(await joinOf(region.controlPlane, cloudlet))
      : { caPin: options.caPin };
  const boot = `boot-${member}`;
  const store = options.store ?? createMemoryIdentityStore();
  const said = {
    welcomes: [] as WelcomeInfo[],
    replies: [] as EnrollReply[],
    plans: [] as Plan[],
    removals: [] as Removal[],
    forgotten: [] as string[],
    disconnects: [] as string[],
  };
  const held = new Map<string, Have>();
  const client = createTunnelClient({
    hub: region.hubAddress,
    enroll: region.enrollAddress,
    cloudlet,
    ...('token' in join ? { token: join.token } : {}),
    caPin: join.caPin,
    store,
    member,
    agentVersion: 'test',
    ...(options.wireVersions && { wireVersions: options.wireVersions }),
    boot,
    logger: options.logger ?? silentLogger,
    onEnrollReply: (reply) => void said.replies.push(reply),
    handler: {
      have: () => [...held.values()],
      active: () => true,
      welcomed: (info) => void said.welcomes.push(info),
      async plan(plan, hash) {
        said.plans.push(plan);
        held.set(plan.id, { id: plan.id, sequence: plan.sequence, hash });
      },
      unreadable: () => Promise.resolve(),
      async remove(removal) {
        said.removals.push(removal);
      },
      async forget(id) {
        said.forgotten.push(id);
        held.delete(id);
      },
      synced: () => undefined,
      deputize: () => undefined,
      leave: () => Promise.resolve(),
      session: (request, stream) => options.session?.(request, stream) ?? Promise.resolve(),
      disconnected: (reason) => void said.disconnects.push(reason),
    },
  });
  const stop = new AbortController();
  const running = client.run(stop.signal);
  let sequence = 0;
  return {
    ...said,
    boot,
    caPin: join.caPin,
    store,
    client,
    reportOf: (plan, more) => ({
      id: plan.id,
      object: { namespace: plan.object.namespace, name: plan.object.name },
      status: {
        site: {
          uid: plan.object.uid,
          boot,
          sequence: ++sequence,
          placement: plan.sequence,
          observed: plan.object.generation,
          revision: plan.app.revision,
        },
        conditions: [well('Deployed'), well('Healthy')],
        ...more,
      },
    }),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await running.catch(() => undefined);
    },
  };
}

/** Looks until it is so. */
export const eventually = <T>(what: string, look: () => T | undefined | false): Promise<T> =>
  until(what, 30_000, async () => {
    const found = look();
    if (found === undefined || found === false) throw new Error('not yet');
    return found;
  });

export const moment = (ms: number): Promise<void> => systemClock.sleep(ms);
