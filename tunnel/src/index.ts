/** The one outbound connection of a site: wire, identity, the hub's end and the agent's end. */
export * from './wire.ts';
export * from './refusal.ts';
export * from './identity/index.ts';
export type * from './hub/backend.ts';
export { createTunnelServer, type ListenOptions, type TunnelServer } from './hub/server.ts';
export {
  defaultLimits,
  type HandshakeOutcome,
  type TunnelLimits,
  type TunnelMetrics,
  type TunnelServerOptions,
  type TunnelTls,
} from './hub/options.ts';
export type * from './agent/handler.ts';
export { createTunnelClient, type TunnelClientOptions } from './agent/client.ts';
export { enroll, enrollOnce, renewalTime, type EnrollOptions } from './agent/enroll.ts';
export {
  attachSession,
  failSession,
  serveSession,
  type SessionExit,
  type TunnelSession,
} from './session-frame.ts';
export { parseAddress, type ProxyOptions } from './agent/proxy.ts';
