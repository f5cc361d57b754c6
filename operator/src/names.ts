/** Names of the region's own objects, which operator, hub, access and the plugin agree on. */

/** Secret of the region's CA in the authority's namespace: `ca.crt`, `ca.key`. */
export const caSecret = 'cloudlet-ca';
/** Secret there whose `key` keys the hashes that copied Secrets are named by. */
export const hashKeySecret = 'cloudlet-hash-key';
/** Serving certificates (`tls.crt`, `tls.key`, `ca.crt`) of the region's processes. */
export const servingSecrets = { hub: 'cloudlet-hub-tls', access: 'cloudlet-access-tls' } as const;

/** Lease that the operators elect their leader by. */
export const operatorLease = 'cloudlet-operator';
export const joinSecretName = (cloudlet: string): string => `join-${cloudlet}`;
export const joinSecretPrefix = 'join-';
export const siteLeaseName = (cloudlet: string): string => `site-${cloudlet}`;
export const siteLeasePrefix = 'site-';
export const hubLeasePrefix = 'hub-';

/** What the hub writes onto a site's Lease. */
export const leaseAnnotations = {
  /** JSON list for `status.waiting`, at most 4. */
  waiting: 'edge.cloudlet.dev/waiting',
  /** Address that the agent whose key is bound came from. */
  boundAddress: 'edge.cloudlet.dev/bound-address',
  /**
   * JSON list of `{id, sequence}`: removals of tombstones that the site confirmed though the AppInst is no
   * longer its own (moved, abandoned or gone). The operator drops those tombstones from the ledger; the hub
   * drops an entry that has no tombstone any more.
   */
  removed: 'edge.cloudlet.dev/removed',
  /** Uid of the Cloudlet, deleted, whose members were told to remove what the site has for itself, and did. */
  left: 'edge.cloudlet.dev/left',
  /**
   * JSON `{since, boots, fingerprints}`: two agents took the Lease from each other again and again, and both
   * are refused until a key is accepted again (`Connected=False, DuplicateAgent`).
   */
  duplicate: 'edge.cloudlet.dev/duplicate',
  /**
   * JSON list of members whose agent has no wire version in common with the hub that they asked
   * (`Connected`, VersionMismatch).
   */
  turnedAway: 'edge.cloudlet.dev/turned-away',
  /** On a hub's Lease: host and port for the access server. */
  hubAddress: 'edge.cloudlet.dev/address',
  /** On a hub's Lease: version of the region's processes. */
  version: 'edge.cloudlet.dev/version',
} as const;
