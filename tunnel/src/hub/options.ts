/** What a tunnel server is made with, and the bounds that it keeps. */
import type { Clock, Logger, Secret } from '@cloudlet/runtime/base';
import type { Rate } from '../rate-limit.ts';
import type { HubBackend } from './backend.ts';

/** PEM texts. `ca` may be a bundle while an authority is replaced. */
export interface TunnelTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: Secret;
}

export interface TunnelLimits {
  /** New TLS handshakes. More wait, in the order they came: a core makes some 550 a second. */
  readonly handshakes: Rate;
  /** Connections that have not yet shown who they are; more are reset. */
  readonly maxPending: number;
  /** From TCP accept to hello. */
  readonly handshakeMs: number;
  /** Enrolment connections of one address. */
  readonly enrollPerAddress: Rate;
  readonly maxEnrolling: number;
  /** From TCP accept to the reply; the backend's own wait for a signature is 15 s. */
  readonly enrollMs: number;
  /** Connections of one site, after their handshake; more are cut off. */
  readonly connectionsPerSite: Rate;
  /** Links of one key at once; another ends the oldest. A line that broke may linger for 40 s. */
  readonly maxLinksPerKey: number;
  /** Messages of one link; then its stream is not read for a while. */
  readonly messages: Rate;
  /** Bytes of the messages of one link, likewise. */
  readonly bytes: Rate;
  /** Times that a member says whether it acts, likewise: each is a write of a Lease. */
  readonly roles: Rate;
  /** Certificates that a member asks for over its link; more wait. */
  readonly renewals: Rate;
  /** Reports of one link; more are coalesced and wait. */
  readonly reports: Rate;
  /** Reports of one link that wait; then its stream is not read. */
  readonly maxReportsWaiting: number;
  /** Time for an agent to dial back a session. */
  readonly dialBackMs: number;
  /** Time for the backend's verdict on a peer. */
  readonly admitMs: number;
}

export const defaultLimits: TunnelLimits = {
  handshakes: { perSecond: 300, burst: 300 },
  maxPending: 4096,
  handshakeMs: 15_000,
  enrollPerAddress: { perSecond: 1, burst: 60 },
  maxEnrolling: 256,
  enrollMs: 30_000,
  connectionsPerSite: { perSecond: 1, burst: 30 },
  maxLinksPerKey: 4,
  messages: { perSecond: 100, burst: 400 },
  bytes: { perSecond: 2 * 1024 * 1024, burst: 8 * 1024 * 1024 },
  roles: { perSecond: 0.5, burst: 10 },
  renewals: { perSecond: 0.1, burst: 5 },
  reports: { perSecond: 50, burst: 200 },
  maxReportsWaiting: 64,
  dialBackMs: 10_000,
  admitMs: 10_000,
};

export type HandshakeOutcome = 'Established' | 'Failed' | 'Unauthorized' | 'Refused' | 'TooMany';

/** A bound that a site hit. */
export type SiteLimit =
  'Connections' | 'Links' | 'Messages' | 'Roles' | 'Renewals' | 'Reports' | 'Invalid';

/** Told of what happens; every one is optional and must not throw. */
export interface TunnelMetrics {
  handshake?(outcome: HandshakeOutcome, via: 'direct' | 'websocket'): void;
  links?(count: number): void;
  linkClosed?(reason: string): void;
  report?(result: string, seconds: number): void;
  /** A site hit one of its bounds, and waits or loses what was beyond it. */
  limited?(limit: SiteLimit): void;
  session?(outcome: 'Opened' | 'Failed', seconds: number): void;
  enrollment?(state: 'Issued' | 'Waiting' | 'Refused' | 'Invalid' | 'TooMany' | 'Failed'): void;
}

export interface TunnelServerOptions {
  readonly backend: HubBackend;
  readonly tls: TunnelTls;
  /** Name of this replica, told to agents. */
  readonly hubName: string;
  readonly clock?: Clock;
  readonly logger: Logger;
  readonly metrics?: TunnelMetrics;
  readonly limits?: Partial<TunnelLimits>;
}

/** The same, with every default filled in. */
export interface TunnelContext {
  readonly backend: HubBackend;
  readonly hubName: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: TunnelMetrics;
  readonly limits: TunnelLimits;
}
