/**
 * What the project aims at and what peers say of themselves, by key of a figure. Peers' figures are their own,
 * of their own machines; only ratios compare in one run.
 */
import type { Target } from './contract.ts';

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
  'agent.rss.idle': {
    target: '<= 72',
    peer: '60 to 80 (KubeEdge edgecore), 270 (k3s agent)',
    unit: 'MiB',
  },
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
  'tunnel.echo.p99.underBulk': { target: '<= 10', unit: 'ms' },
  'tunnel.stalledReader.mib': { target: '<= 2', peer: '125 (yamux-js)', unit: 'MiB' },
  'image.operator.mib': { target: '<= 200', unit: 'MiB' },
  'image.operator.transferredMib': { unit: 'MiB' },
  'image.agent.mib': { target: '<= 120', unit: 'MiB' },
  'image.agent.transferredMib': { unit: 'MiB' },
  'archive.agent.mib': { target: '<= 60', unit: 'MiB' },
};
