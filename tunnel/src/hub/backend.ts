/**
 * What the hub end of the tunnel asks of the region. The tunnel moves messages and watches liveness; who is
 * let in, what a site gets and where its reports go is the backend's.
 */
import type { Plan, Removal } from '@cloudlet/crds';
import type {
  EnrollReply,
  EnrollRequest,
  Have,
  InstanceReport,
  SessionRequest,
  SiteReport,
  SiteSpan,
} from '../wire.ts';
import type { Duplex } from 'node:stream';

/** Who is at the other end, from its verified certificate. */
export interface SiteIdentity {
  readonly cloudlet: string;
  /** The Cloudlet's instance id, from the certificate. */
  readonly cloudletId: string;
  /** `SHA256:` fingerprint of the agent's public key. */
  readonly fingerprint: string;
  readonly notAfter: Date;
}

export type Admission =
  | { readonly admitted: true; readonly cloudletUid: string }
  | { readonly admitted: false; readonly reason: string; readonly message: string };

export interface HelloInfo {
  readonly boot: string;
  readonly member: string;
  readonly agentVersion: string;
  readonly active: boolean;
  readonly features: readonly string[];
  readonly have: readonly Have[];
  /** Agent's clock minus hub's, in milliseconds. */
  readonly skewMs: number;
  readonly remoteAddress: string;
}

/** A member that the region knows and that is turned away for what its agent is. */
export interface TurnedAway {
  readonly boot: string;
  readonly member: string;
  readonly reason: string;
  /** Says what to do about it. */
  readonly message: string;
}

/** In milliseconds from now. */
export interface DrainTimes {
  /** When the connection ends. */
  readonly withinMs: number;
  /** Within which the agent looks for another hub. */
  readonly redialWithinMs: number;
}

/** One live connection of one member of a site, as the backend drives it. */
export interface SiteLink {
  readonly identity: SiteIdentity;
  readonly hello: HelloInfo;
  /** Whether the member acts for its site at present. */
  readonly active: boolean;
  /** Aborts when the connection ends, with the reason. */
  readonly closed: AbortSignal;
  /** With a traceparent the site tells what it spent its time on. */
  sendPlan(plan: Plan, hash: string, trace?: string): void;
  sendRemoval(removal: Removal): void;
  sendForget(id: string): void;
  sendSynced(orphans: readonly string[]): void;
  /**
   * Whether the agent answers now. What arrives may have been on its way for as long as this process stood still,
   * and the agent may have ended since.
   */
  answers(): Promise<boolean>;
  /** Has the member act for its site though it does not lead, or no longer; its role tells what came of it. */
  deputize(acts: boolean): void;
  /** Has the member remove what the site has for itself; `left` tells when it did. */
  sendLeave(): void;
  /**
   * Asks the agent for a session and gives its stream (see session-frame.ts).
   * @throws DeadlineError when the agent does not dial back in time, UnreachableError when the link ends.
   */
  openSession(request: SessionRequest, signal: AbortSignal): Promise<Duplex>;
  /** Asks the agent to redial, and ends the connection in the end. */
  drain(times: DrainTimes): void;
  /** Ends the connection at once and tells the agent why. */
  refuse(reason: string, message: string): void;
}

export type ReportResult =
  | { readonly result: 'Applied' }
  | { readonly result: 'Dropped'; readonly message: string }
  | { readonly result: 'Retry'; readonly message: string };

export interface HubBackend {
  /** Asked before anything of a new connection is read, and once more after its hello. */
  admit(identity: SiteIdentity): Promise<Admission>;
  /** The member said hello: send it the differences to `hello.have`, then changes, until `link.closed`. */
  connected(link: SiteLink): void;
  /** The member was admitted, and its agent and this hub have no wire version in common. */
  turnedAway(identity: SiteIdentity, member: TurnedAway): void;
  roleChanged(link: SiteLink): void;
  /** The member did what `sendLeave` asked for. */
  left(link: SiteLink): void;
  instanceReport(
    link: SiteLink,
    report: InstanceReport,
    signal: AbortSignal,
    spans?: readonly SiteSpan[],
  ): Promise<ReportResult>;
  siteReport(link: SiteLink, report: SiteReport, signal: AbortSignal): Promise<ReportResult>;
  /**
   * A byte arrived from the site after a while, or its ping: renew what shows that it lives. Called at most
   * once every `timing.leaseRenewMs` for a link.
   */
  alive(link: SiteLink): void;
  /** A CSR with a token, with a key that waits or is known, or with an expired certificate of the same key. */
  enroll(request: EnrollRequest, peer: EnrollPeer, signal: AbortSignal): Promise<EnrollReply>;
}

export interface EnrollPeer {
  readonly remoteAddress: string;
  /** A certificate that chains to our CA, whether expired or not; absent otherwise. */
  readonly certificate?: SiteIdentity;
}
