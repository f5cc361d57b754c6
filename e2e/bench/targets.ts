/**
 * What the project aims at and what peers say of themselves, by key of a figure. Peers' figures are their own,
 * of their own machines; only ratios compare in one run.
 */
import type { Target } from './contract.ts';

/** Of a machine with two cores, by the costs that `npm run scale` prints. */
const sharedCores =
  'Two cores are shared by etcd, API server, region, sites and bed, and all are busy: the API server takes more than half of the time, some 7 ms of a core for each of the seven calls that an instance costs.';

/** Twenty changes a second, each of seven calls, are more than that machine's API server takes. */
const overTaken =
  'The bed asks for twenty changes a second whatever becomes of those before, of which each costs seven calls: together with the Leases of a thousand sites that is more than the API server takes on two shared cores, so that changes wait in a row.';

export const targets: Readonly<Record<string, Target>> = {
  'statusWrites.real.ratio': {
    target: '>= 1.8',
    peer: '1 (client-node as shipped)',
    unit: 'times',
  },
  'statusWrites.scripted.ratio': {
    target: '>= 10',
    peer: '1 (client-node as shipped)',
    unit: 'times',
  },
  'statusWrites.real.ours.perSecond': {
    target: '>= 200',
    peer: '450 to 610 (controller-runtime)',
    unit: '/s',
  },
  'statusWrites.scripted.ours.perSecond': { target: '>= 1000', unit: '/s' },
  'applyToRunning.swarm.p50': { unit: 's' },
  'applyToRunning.swarm.p99': { target: '<= 5', peer: '4.09 (KubeEdge, pod start)', unit: 's' },
  'statusToResource.swarm.p50': { unit: 'ms' },
  'statusToResource.swarm.p99': { target: '<= 1000', peer: '10000 (Karmada)', unit: 'ms' },
  'writes.perAppInst': { target: '<= 4' },
  'start.warm.seconds': { target: '<= 60', unit: 's' },
  'start.cold.seconds': { target: '<= 900', unit: 's' },
  'helm.installToReady.seconds': { target: '<= 30', unit: 's' },
  'upgrade.siteOffline.max.seconds': { target: '<= 30', unit: 's' },
  'agent.rss.idle': {
    target: '<= 72',
    peer: '60 to 80 (KubeEdge edgecore), 270 (k3s agent)',
    unit: 'MiB',
  },
  'agent.rss.idleOnNode24': { unit: 'MiB' },
  'agent.rss.idleWithoutEngine': { unit: 'MiB' },
  'agent.idleBytesPerMinute': { target: '<= 1024', unit: 'B/min' },
  'agent.bundleKiB': { target: '<= 2000', unit: 'KiB' },
  'tunnel.idle.bytesPerMinute': { target: '<= 1024', unit: 'B/min' },
  'tunnel.throughput.ratio': {
    target: '>= 0.7',
    peer: '0.51 (konnectivity, of plain TCP)',
    unit: 'times',
  },
  'tunnel.throughput.mibPerSecond': { unit: 'MiB/s' },
  'tunnel.websocket.ratio': { target: '>= 0.35', unit: 'times' },
  'tunnel.websocket.mibPerSecond': { unit: 'MiB/s' },
  'tunnel.echo.p99.underBulk': { target: '<= 10', unit: 'ms' },
  'tunnel.stalledReader.mib': { target: '<= 2', peer: '125 (yamux-js)', unit: 'MiB' },
  'exec.firstByte.p50': { unit: 'ms' },
  'exec.firstByte.p99': { target: '<= 300', peer: '10000 (Portainer)', unit: 'ms' },
  'applyToAgent.p99': {
    target: '<= 250',
    peer: '990 (Karmada, pull)',
    unit: 'ms',
    short: overTaken,
  },
  'statusToResource.1000.p99': {
    target: '<= 1000',
    peer: '10000 (Karmada)',
    unit: 'ms',
    short: overTaken,
  },
  'ready.1000.appinsts': {
    target: '<= 20',
    peer: '255 (Flux, 1000 Kustomizations)',
    unit: 's',
    short: sharedCores,
  },
  'ready.1000.ratio': {
    target: '<= 8',
    peer: '1 (controller-runtime, one apply)',
    unit: 'times',
    short: sharedCores,
  },
  'ready.1000.controllerRuntime': { unit: 's' },
  'ready.10000.appinsts': { target: '<= 200', unit: 's', short: sharedCores },
  'runtime.vsControllerRuntime': { target: '>= 1.0', peer: '1', unit: 'times' },
  'operator.rss.10000': {
    target: '<= 200',
    peer: '175 (Flux, 1000)',
    unit: 'MiB',
    short: `Node keeps what the flood of ten thousand new objects took; the objects themselves are \`cache.mib.per1000\`.`,
  },
  'cache.mib.per1000': {
    target: '<= 2.0',
    peer: '15.9 (Go informer)',
    unit: 'MiB',
  },
  'hub.rss.1000agents': {
    target: '<= 150',
    unit: 'MiB',
    short:
      "A connection of TLS and HTTP/2 costs Node 95 KiB, 60 of which are OpenSSL's; with those of a thousand and 58 MiB of Node itself there is nothing left for what a hub knows.",
  },
  'hub.idle.cpuPercent.1000agents': { target: '<= 5', unit: '%' },
  'hub.reconnect.1000agents': {
    target: '<= 30',
    peer: '600 to 900 for some (Rancher)',
    unit: 's',
  },
  'restart.resync.1000x10': {
    target: '<= 60',
    peer: '900 (KubeFleet, 1000 x 1000)',
    unit: 's',
    short:
      'API server, region and every agent start at once. 80 s pass until the region serves; then the hub writes the new life of each agent into each instance, one call for each, and the API server alone takes 255 s of a core.',
  },
  'newObject.duringFlood.p99': {
    target: '<= 2',
    unit: 's',
    short:
      'Ten thousand instances are rolled out for eleven minutes. A fresh one goes first in operator, hub and agent, but not in the API server, where each of its nine calls waits among those of the flood.',
  },
  'leader.sigterm.seconds': {
    target: '<= 2',
    peer: '15 to 120 (no release)',
    unit: 's',
  },
  'leader.sigkill.seconds': { target: '<= 17', unit: 's' },
  'image.operator.mib': { target: '<= 200', unit: 'MiB' },
  'image.operator.transferredMib': { unit: 'MiB' },
  'image.agent.mib': { target: '<= 120', unit: 'MiB' },
  'image.agent.transferredMib': { unit: 'MiB' },
  'archive.agent.mib': { target: '<= 60', unit: 'MiB' },
};
