/**
 * Who certifies the ends of the connections between a site's agents and its nodes' helpers: an authority for
 * each agent, whose key never leaves that agent's machine. The agent implements it; a driver makes none.
 */
import type { Secret } from '@cloudlet/runtime/base';

export interface SiteAuthority {
  /** PEM of the authority itself, which is public. */
  certificate(): Promise<string>;
  /** PEM of what this agent shows to helpers. */
  agent(): Promise<{ readonly key: string; readonly cert: string }>;
  /** A new key for helpers, each time; PEM. */
  issueNode(): Promise<{ readonly key: Secret; readonly cert: string; readonly notAfter: Date }>;
}
