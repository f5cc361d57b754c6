/** The driver of platform DockerSwarm. */
export { createSwarmDriver, type SwarmDriverOptions } from './driver.ts';
export type { HelperOptions } from './helper/client.ts';
export {
  helperPort,
  type HelperTls,
  type NodeHelper,
  type NodeHelperOptions,
  serveNodeHelper,
} from './helper/server.ts';
export { helperName } from './engine.ts';
