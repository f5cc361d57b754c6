/** What the recovery bench and its peers agree on. */
export const peerNames = ['ours', 'client-node', 'k8s-operator'] as const;
export type PeerName = (typeof peerNames)[number];

/** A handler throws at the first sight of an object with this value. */
export const poison = 666;

/** What a peer tells for each call of its handler. */
export interface Sight {
  readonly name: string;
  readonly residentBytes: number;
}

export const things = {
  group: 'test.dev',
  version: 'v1',
  plural: 'things',
  kind: 'Thing',
  namespaced: false,
} as const;
