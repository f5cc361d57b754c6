/** The driver of platform DockerSwarm; what its nodes run is an entry of its own, `docker-swarm/helper`. */
export { createSwarmDriver, type HelperOptions, type SwarmDriverOptions } from './driver.ts';
export type { SiteAuthority } from './helper/site-authority.ts';
