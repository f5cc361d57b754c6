/** The driver of platform DockerSwarm. */
export { createSwarmDriver, type SwarmDriverOptions } from './driver.ts';
