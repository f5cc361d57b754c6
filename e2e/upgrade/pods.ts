/** When each pod of a region came and went, so that what a site noticed can be held against it. */
import { namespaces } from '@cloudlet/crds';
import type { KubernetesObject, ResourceType } from '@cloudlet/runtime/kubernetes';
import { machineMs } from '../scale/hollow-messages.ts';
import { watching } from '../scale/watching.ts';
import type { UpgradeBed } from './bed.ts';

interface Pod extends KubernetesObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

const podType: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
};

/** @returns what ends it, and gives a line a pod, in seconds since it began. */
export async function watchPods({ sites, signal }: UpgradeBed): Promise<() => Promise<string[]>> {
  const start = machineMs();
  const seen = new Map<string, Map<string, number>>();
  const note = (pod: string, what: string): void => {
    const times = seen.get(pod) ?? new Map<string, number>();
    seen.set(pod, times);
    if (!times.has(what)) times.set(what, (machineMs() - start) / 1_000);
  };
  const pods = await watching<Pod>(sites.client, podType, {
    ...{ namespace: namespaces.system, signal },
  });
  const look = (pod: Pod): void => {
    const { name, deletionTimestamp } = pod.metadata;
    note(name, 'there');
    if (pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'))
      note(name, 'Ready');
    if (deletionTimestamp !== undefined) note(name, 'told to end');
  };
  pods.cache.list().forEach(look);
  const subscription = pods.informer.subscribe(({ type, object }) => {
    if (type === 'Deleted') note(object.metadata.name, 'gone');
    else look(object);
  });
  return async () => {
    subscription.unsubscribe();
    await pods[Symbol.asyncDispose]();
    return [...seen].map(([pod, times]) => {
      const told = [...times].map(([what, at]) => `${what} ${at.toFixed(1)}`);
      return `${pod}: ${told.join(', ')}`;
    });
  };
}
