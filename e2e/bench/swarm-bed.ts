/** What benches of the swarm share: a site of phones with one App, and a view of its AppInsts as they change. */
import type { AppInst } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  createInformer,
  type Informer,
  type ResourceClient,
} from '@cloudlet/runtime/kubernetes';
import {
  expect,
  formSwarm,
  type Phone,
  pushAgentImage,
  pushHaproxyImage,
  pushWebImage,
  startSite,
} from '../testbed/index.ts';
import type { BenchContext } from './contract.ts';

export interface SwarmBed extends AsyncDisposable {
  readonly appInsts: Informer<AppInst>;
  readonly client: ResourceClient<AppInst>;
  readonly phones: readonly Phone[];
  /** Applies an AppInst of the App `web`. */
  apply(name: string, replicas?: number): Promise<void>;
  remove(name: string): Promise<void>;
  /** Resolves as soon as the object as the region has it passes. */
  whenever(name: string, passes: (appInst: AppInst) => boolean): Promise<AppInst>;
}

const deadlineMs = 60_000;

/** Each bed has a site of its own: an agent's state goes with its bed, and a join is good for one agent. */
let beds = 0;

export interface SwarmBedOptions {
  /** A helper on each node, so that exec reaches tasks on all. */
  readonly helpers?: boolean;
}

export async function swarmBed(
  context: BenchContext,
  { helpers = false }: SwarmBedOptions = {},
): Promise<SwarmBed> {
  const cloudlet = `bench-${++beds}`;
  const { controlPlane, phones, region, dir, signal, progress } = context;
  expect(controlPlane && phones && region, 'a region and phones are wanted');
  await using stack = new AsyncDisposableStack();
  await formSwarm(phones.phones, { managers: 1 });
  const balancer = await pushHaproxyImage(phones.registry, { architectures: ['amd64'] });
  const image = await pushWebImage(phones.registry, { architectures: ['amd64'], progress });
  for (const phone of phones.phones) await phone.docker(['pull', '--quiet', image.reference]);
  const helper = helpers ? (await pushAgentImage(phones.registry)).reference : 'none';
  const args = ['--lb-image', balancer.reference, '--helper-image', helper];
  const managers = phones.phones.slice(0, 1);
  const site = await startSite({ controlPlane, cloudlet, phones: managers, dir, args });
  stack.defer(() => site.stop());
  await controlPlane.kubectl(['apply', '-f', '-'], {
    input: JSON.stringify(appOf(image.reference)),
  });
  const client = createClient({
    userAgent: 'cloudlet-bench',
    kubeconfig: controlPlane.kubeconfig,
    logger: silentLogger,
    clock: systemClock,
  });
  stack.defer(() => client.close());
  const appInsts = createInformer<AppInst>(client, resourceTypes.AppInst, {});
  const stopped = new AbortController();
  const running = appInsts.run(AbortSignal.any([signal, stopped.signal]));
  stack.defer(async () => {
    stopped.abort(new Error('the bench is over'));
    await running;
  });
  await appInsts.synced(signal);
  const owned = stack.move();
  return {
    ...verbsOf(client.resource<AppInst>(resourceTypes.AppInst), { cloudlet, appInsts, signal }),
    appInsts,
    phones: phones.phones,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function verbsOf(
  client: ResourceClient<AppInst>,
  bed: { cloudlet: string; appInsts: Informer<AppInst>; signal: AbortSignal },
): Pick<SwarmBed, 'client' | 'apply' | 'remove' | 'whenever'> {
  const { cloudlet, appInsts, signal } = bed;
  return {
    client,
    async apply(name, replicas = 1) {
      const spec = { appRef: { name: 'web' }, cloudletRef: { name: cloudlet }, replicas };
      const object = {
        apiVersion: 'edge.cloudlet.dev/v1alpha1',
        kind: 'AppInst',
        metadata: { name, namespace: 'default' },
        spec,
      };
      await client.apply(object, { fieldManager: 'bench', signal });
    },
    remove: (name) => client.delete(name, 'default', { signal }),
    async whenever(name, passes) {
      const within = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
      return new Promise((resolve, reject) => {
        const onAbort = (): void => {
          subscription.unsubscribe();
          reject(within.reason as Error);
        };
        const subscription = appInsts.subscribe(({ type, object }) => {
          if (type === 'Deleted' || object.metadata.name !== name || !passes(object)) return;
          within.removeEventListener('abort', onAbort);
          // Not before `subscription` is there: what is known already is told at once.
          queueMicrotask(() => subscription.unsubscribe());
          resolve(object);
        });
        within.addEventListener('abort', onAbort, { once: true });
      });
    },
  };
}

const appOf = (image: string): object => ({
  apiVersion: 'edge.cloudlet.dev/v1alpha1',
  kind: 'App',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    version: '1',
    deployment: 'Docker',
    image,
    ports: [
      {
        name: 'http',
        protocol: 'HTTP',
        port: 8080,
        healthCheck: { type: 'HTTP', path: '/healthz' },
      },
    ],
  },
});

/** The value below which a share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
