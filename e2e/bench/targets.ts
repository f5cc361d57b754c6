/**
 * What the project aims at and what peers say of themselves, by key of a figure. Peers' figures are their own,
 * of their own machines; only ratios compare in one run.
 */
import type { Target } from './contract.ts';

export const targets: Readonly<Record<string, Target>> = {
  'statusWrites.real.ratio': { target: '> 1', peer: '1 (client-node as shipped)', unit: 'times' },
  'statusWrites.scripted.ratio': {
    target: '> 1',
    peer: '1 (client-node as shipped)',
    unit: 'times',
  },
  'statusWrites.real.ours.perSecond': {
    target: '>= 200',
    peer: '450 to 610 (controller-runtime)',
    unit: '/s',
  },
  'statusWrites.scripted.ours.perSecond': { target: '>= 1000', unit: '/s' },
  'agent.idleRssMiB': { target: '<= 64', peer: '60 to 80 (KubeEdge edgecore)', unit: 'MiB' },
  'agent.idleBytesPerMinute': { target: '<= 1024', unit: 'B/min' },
  'apply.agentSeesP99Ms': { target: '<= 250', peer: '990 (Karmada, pull)', unit: 'ms' },
  'apply.runningP99Ms': { target: '<= 5000', peer: '4090 (KubeEdge, pod start)', unit: 'ms' },
  'status.appliedP99Ms': { target: '<= 1000', peer: '10000 (Karmada)', unit: 'ms' },
  'hub.agentsPerCore': { target: '>= 5000', peer: '2500 (KubeEdge CloudCore)', unit: 'agents' },
  'hub.backAfterKillP99Ms': { target: '<= 30000', peer: '600000 (Rancher)', unit: 'ms' },
  'exec.firstByteP99Ms': { target: '<= 300', peer: '10000 (Portainer Edge)', unit: 'ms' },
  'tunnel.ratioToTcp': { target: '>= 0.8', peer: '0.51 (konnectivity)', unit: 'times' },
  'slowReader.heldMiB': { target: '<= 2', peer: '125 (yamux-js)', unit: 'MiB' },
  'placement.p99Ms': { target: '<= 50', peer: '32 (Karmada)', unit: 'ms' },
  'appinsts.thousandReadySeconds': {
    target: '<= 20',
    peer: '1.6 to 2.3 (smallest controller-runtime operator)',
    unit: 's',
  },
  'operator.rssMiB': { target: '<= 200', peer: '45 (controller-runtime)', unit: 'MiB' },
};
