/** Condition types of an AppInst and their reasons; changing one is a breaking change. */

/** Deployed and Healthy are the agent's, the others the operator's. */
export const appInstConditions = {
  Ready: 'Ready',
  Accepted: 'Accepted',
  Placed: 'Placed',
  UpdateAvailable: 'UpdateAvailable',
  /** Present, and True, only while the site does not run yet what was asked for (kstatus). */
  Reconciling: 'Reconciling',
  /** Present, and True, only while it needs a person to become what was asked for (kstatus); never with Reconciling. */
  Stalled: 'Stalled',
  Deployed: 'Deployed',
  Healthy: 'Healthy',
} as const;

/** Condition types that a site may write. */
export const appInstAgentConditions = ['Deployed', 'Healthy'] as const;

export const appInstReasons = {
  Ready: 'Ready',
  Accepted: 'Accepted',
  Placed: 'Placed',
  Progressing: 'Progressing',
  WaitingForSite: 'WaitingForSite',
  AppNotFound: 'AppNotFound',
  AppInvalid: 'AppInvalid',
  ClusterNotFound: 'ClusterNotFound',
  CloudletNotFound: 'CloudletNotFound',
  ZoneNotFound: 'ZoneNotFound',
  FlavorNotFound: 'FlavorNotFound',
  SecretNotFound: 'SecretNotFound',
  NamespaceNotAllowed: 'NamespaceNotAllowed',
  UnknownTemplate: 'UnknownTemplate',
  InvalidSpec: 'InvalidSpec',
  NoSiteFits: 'NoSiteFits',
  PortsExhausted: 'PortsExhausted',
  SiteUnreachable: 'SiteUnreachable',
  RolloutFailed: 'RolloutFailed',
  RolledBack: 'RolledBack',
  UpdateAvailable: 'UpdateAvailable',
  UpToDate: 'UpToDate',
  Deployed: 'Deployed',
  DeployFailed: 'DeployFailed',
  ImageNotFound: 'ImageNotFound',
  ArchitectureMismatch: 'ArchitectureMismatch',
  Unsupported: 'Unsupported',
  InvalidCompose: 'InvalidCompose',
  HostPathNotAllowed: 'HostPathNotAllowed',
  Healthy: 'Healthy',
  Unhealthy: 'Unhealthy',
  Starting: 'Starting',
  PoweredOff: 'PoweredOff',
  Suspended: 'Suspended',
  Removing: 'Removing',
  QuorumLost: 'QuorumLost',
  Abandoned: 'Abandoned',
} as const;
