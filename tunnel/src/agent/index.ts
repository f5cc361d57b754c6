/**
 * The agent's entry to the tunnel: its end, and nothing that a hub or an authority needs. What makes
 * certificates is loaded for a request alone (identity/key.ts says why).
 */
export * from '../wire.ts';
export type * from './handler.ts';
export { createTunnelClient, type TunnelClientOptions } from './client.ts';
export { dial, type DialOptions, type Way } from './dial.ts';
export type { AgentClock } from './times.ts';
export { parseAddress, type ProxyOptions } from './proxy.ts';
export { formatJoin, type Join, parseJoin } from '../identity/join.ts';
export {
  createFileIdentityStore,
  type IdentityStore,
  type StoredIdentity,
} from '../identity/store.ts';
export { failSession, serveSession } from '../session-frame.ts';
