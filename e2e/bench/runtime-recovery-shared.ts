/** What the recovery bench and its peers agree on. */
export const peerNames = ['ours', 'client-node', 'k8s-operator'] as const;
export type PeerName = (typeof peerNames)[number];

/** A handler throws at the first sight of an object with this value. */
export const poison = 666;

/** A peer tells the name of each object that its handler saw and, when asked by any message, what it used. */
export type Told = { readonly seen: string } | { readonly usage: Usage };

export interface Usage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

export const things = {
  group: 'test.dev',
  version: 'v1',
  plural: 'things',
  kind: 'Thing',
  namespaced: false,
} as const;
