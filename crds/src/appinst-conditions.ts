/** Condition types of an AppInst and their reasons; changing one is a breaking change. */

/** The operator owns Ready, Accepted, Placed, UpdateAvailable and Reconciling; the agent Deployed and Healthy. */
export const appInstConditions = {
  Ready: 'Ready',
  Accepted: 'Accepted',
  Placed: 'Placed',
  UpdateAvailable: 'UpdateAvailable',
  /** Present, and True, only while the site does not run yet what was asked for (kstatus). */
  Reconciling: 'Reconciling',
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
