/** The helper's own end: what a node runs. Loads nothing of the driver. */
export {
  helperDrainMs,
  helperPort,
  type HelperTls,
  type NodeHelper,
  type NodeHelperOptions,
  serveNodeHelper,
} from './server.ts';
