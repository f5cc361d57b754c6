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
  reports: { perSecond: 50, burst: 200 },
  maxReportsWaiting: 64,
  dialBackMs: 10_000,
  admitMs: 10_000,
};

export type HandshakeOutcome = 'Established' | 'Failed' | 'Unauthorized' | 'Refused' | 'TooMany';

/** Told of what happens; every one is optional and must not throw. */
export interface TunnelMetrics {
  handshake?(outcome: HandshakeOutcome, via: 'direct' | 'websocket'): void;
  links?(count: number): void;
  linkClosed?(reason: string): void;
  report?(result: string, seconds: number): void;
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
