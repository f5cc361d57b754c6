/** What the agent end of the tunnel asks of the agent: where messages go and what it has. */
import type { Duplex } from 'node:stream';
import type { Plan, Removal } from '@cloudlet/crds';
import type {
  Have,
  InstanceReport,
  PlanHead,
  SessionRequest,
  SiteReport,
  SiteSpan,
} from '../wire.ts';

export interface WelcomeInfo {
  readonly hub: string;
  readonly cloudlet: string;
  readonly cloudletUid: string;
  /** Hub's clock minus ours, in milliseconds. */
  readonly skewMs: number;
}

export interface TunnelHandler {
  /** All that the agent holds, for its hello. */
  have(): readonly Have[];
  /** Whether this member acts for the site now. */
  active(): boolean;
  welcomed(info: WelcomeInfo): void;
  /** With a traceparent where the region asks what the site spends its time on. */
  plan(plan: Plan, hash: string, trace?: string): Promise<void>;
  /** A plan came that only a newer agent can read: what runs is kept, and the region is told. */
  unreadable(head: PlanHead): Promise<void>;
  remove(removal: Removal): Promise<void>;
  forget(id: string): Promise<void>;
  synced(orphans: readonly string[]): void;
  /** Act for the site though another member's machine leads, whose agent is gone; or no longer. */
  deputize(acts: boolean): void;
  /** The site leaves the region: remove what it has for itself. Rejects when something is left. */
  leave(): Promise<void>;
  /** Serves a session over `stream` until it ends; never throws. */
  session(request: SessionRequest, stream: Duplex, signal: AbortSignal): Promise<void>;
  /** The link went down; what runs goes on. */
  disconnected(reason: string): void;
}

/** What the agent may call on its end of the tunnel. */
export interface TunnelClient {
  /** Runs until the signal aborts: dials, redials, renews. Throws only what cannot heal. */
  run(signal: AbortSignal): Promise<void>;
  readonly connected: boolean;
  /** Keeps the latest report of each instance and sends it when it can; resends until acknowledged. */
  report(report: InstanceReport, spans?: readonly SiteSpan[]): void;
  reportSite(report: SiteReport): void;
  setActive(active: boolean): void;
}
