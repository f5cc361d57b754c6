/**
 * The test bed: a real control plane, Docker engines that stand for phones, images, and the product on them.
 *
 * Guarantees: everything is started by this process and ends with it; beds with different names (prefix,
 * net, dir) stand side by side; what is missing on the machine is named in one line. Linux; phones need root.
 */
export * from './binaries.ts';
export type { Component } from './component.ts';
export * from './container/docker.ts';
export * from './container/image.ts';
export * from './controlplane/index.ts';
export type { ControlPlane, EmbeddedControlPlane } from './controlplane/embedded.ts';
export { type KubeconfigInput, writeKubeconfig } from './controlplane/kubeconfig.ts';
export { type Kubectl, kubectlOf, type KubectlOptions } from './controlplane/kubectl.ts';
export * from './host.ts';
export * from './process.ts';
export * from './progress.ts';
export * from './tools.ts';
export type { Phone, SpawnOptions } from './phones/phone.ts';
export {
  clearDeadPhones,
  openPhones,
  type Phones,
  phonesForTest,
  type PhonesOptions,
  phonesUnavailable,
  startPhones,
} from './phones/phones.ts';
export { cgroupHierarchies } from './phones/layout.ts';
export * from './phones/swarm.ts';
export { pushAgentImage } from './images/agent.ts';
export * from './images/catalog.ts';
export type { Architecture } from './images/debian.ts';
export { buildImage, type Image, type ImageFile, type ImageOptions } from './images/image.ts';
export { writeDockerArchive } from './images/image.ts';
export { type PushedImage, pushImages } from './images/registry.ts';
export { type Collector, ensureCollector, startCollector } from './otlp/otlp.ts';
export * from './region/region.ts';
export * from './region/site.ts';
