/**
 * What main.go is, on our runtime: for each Probe it applies one status, server-side, sixteen at once. A
 * program of its own: `node ours.ts KUBECONFIG`.
 */
import { createLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  createController,
  createInformer,
  itself,
  runManager,
} from '@cloudlet/runtime/kubernetes';
import { type Probe, probeType } from './probe-type.ts';

const workers = 16;
const clock = systemClock;
const logger = createLogger({ level: 'warn' });
const client = createClient({
  ...{ kubeconfig: process.argv[2] ?? '', clock, logger },
  userAgent: 'cloudlet-bench',
  connections: workers,
});
const probes = client.resource<Probe>(probeType);
const informer = createInformer<Probe>(client, probeType, { logger });
const controller = createController({
  ...{ name: 'probe', workers, logger },
  async reconcile({ key, signal }) {
    const probe = informer.cache.get(key);
    const { generation, name = '', namespace = '' } = probe?.metadata ?? {};
    if (!probe || generation === undefined || probe.status?.observedGeneration === generation)
      return { kind: 'done' };
    const at = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = {
      ...{ type: 'Ready', status: 'True', observedGeneration: generation },
      ...{ lastTransitionTime: at, reason: 'Ready', message: 'all is well' },
    };
    const text = probe.spec?.text ?? '';
    await probes.apply(
      {
        metadata: { name, namespace },
        status: { observedGeneration: generation, text, conditions: [condition] },
      },
      { fieldManager: 'probe', subresource: 'status', signal },
    );
    return { kind: 'done' };
  },
});
controller.watches(informer, itself);

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort(new Error('SIGTERM came')));
await runManager(
  {
    clock,
    logger,
    informers: [informer],
    controllers: [controller],
    close: [() => client.close()],
  },
  stop.signal,
);
