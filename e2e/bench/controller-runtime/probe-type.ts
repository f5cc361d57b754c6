/** The kind of the benches' own. */
import type { KubernetesObject, ResourceType } from '@cloudlet/runtime/kubernetes';

export interface Probe extends KubernetesObject {
  readonly spec?: { readonly round: number; readonly text?: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly text?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly observedGeneration: number;
      readonly lastTransitionTime: string;
      readonly reason: string;
      readonly message: string;
    }[];
  };
}

export const probeType: ResourceType = {
  group: 'bench.cloudlet.dev',
  version: 'v1',
  plural: 'statusprobes',
  kind: 'Probe',
  namespaced: true,
};
