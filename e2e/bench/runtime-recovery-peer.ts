/**
 * One of three programs that watch a kind, in a process of its own, since some of them end it:
 * `runtime-recovery-peer.ts <ours|client-node|k8s-operator>`, with the kubeconfig in `$KUBECONFIG`.
 * Tells its parent the name of each object that its handler saw. The handler throws at the first sight of an
 * object with `poison`.
 */
import type { KubernetesObject } from '@kubernetes/client-node';
import type operatorLibrary from '@dot-i/k8s-operator';
import { poison, type PeerName, type Told, things } from './runtime-recovery-shared.ts';

const poisoned = new Set<string>();

function tell(told: Told): void {
  process.send?.(told);
}

function handle(name: string, value: number): void {
  tell({ seen: name });
  if (value !== poison || poisoned.has(name)) return;
  poisoned.add(name);
  throw new Error('the handler failed');
}

interface Thing {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly value: number };
}

/** As an operator of ours does it: a controller on an informer. */
async function runOurs(): Promise<void> {
  const { silentLogger, systemClock } = await import('@cloudlet/runtime/base');
  const { createClient, createController, createInformer, itself } =
    await import('@cloudlet/runtime/kubernetes');
  const common = { logger: silentLogger, clock: systemClock };
  const client = createClient({ ...common, userAgent: 'bench' });
  const informer = createInformer<Thing>(client, things);
  const controller = createController({
    name: 'things',
    logger: silentLogger,
    reconcile: async ({ key }) => {
      const thing = informer.cache.get(key);
      if (thing) handle(key, thing.spec.value);
      return { kind: 'done' };
    },
  });
  controller.watches(informer, itself);
  const { signal } = new AbortController();
  await Promise.all([informer.run(signal), controller.run(signal)]);
}

/** As client-node's README does it: an informer, started anew on `error` is left to the user. */
async function runClientNode(): Promise<void> {
  const { CustomObjectsApi, KubeConfig, makeInformer } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromDefault();
  const api = config.makeApiClient(CustomObjectsApi);
  const { group, version, plural } = things;
  const path = `/apis/${group}/${version}/${plural}`;
  const informer = makeInformer<KubernetesObject>(
    config,
    path,
    async () => (await api.listClusterCustomObject({ group, version, plural })) as never,
  );
  const onEvent = (object: KubernetesObject): void => {
    const thing = object as unknown as Thing;
    handle(thing.metadata.name, thing.spec.value);
  };
  informer.on('add', onEvent);
  informer.on('update', onEvent);
  informer.on('error', () => undefined);
  await informer.start();
}

/** As its README does it: a subclass that watches in `init`. */
async function runK8sOperator(): Promise<void> {
  const library = (await import('@dot-i/k8s-operator')) as unknown as {
    default: { default: typeof operatorLibrary.default };
  };
  const Operator = library.default.default;
  class Things extends Operator {
    protected async init(): Promise<void> {
      const { group, version, plural } = things;
      await this.watchResource(group, version, plural, async (event) => {
        const thing = event.object as unknown as Thing;
        handle(thing.metadata.name, thing.spec.value);
      });
    }
  }
  await new Things().start();
}

const peers: Readonly<Record<PeerName, () => Promise<void>>> = {
  ours: runOurs,
  'client-node': runClientNode,
  'k8s-operator': runK8sOperator,
};

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  const residentBytes = process.memoryUsage.rss();
  tell({ usage: { cpuSeconds: (user + system) / 1e6, residentBytes } });
});
// Nothing else may keep a peer alive that has stopped watching, so that the parent sees its end.
process.on('disconnect', () => process.exit());
await peers[process.argv[2] as PeerName]();
