/**
 * What nodes and the engine say of the site. Pure.
 *
 * Guarantees: quorum is lost as soon as the engine cannot reach a leader; an even number of managers is held,
 * with a warning, because it survives no more losses than one manager less.
 */
import { cloudletReasons, type SiteNode } from '@cloudlet/crds';
import type { SiteObservation, Verdict } from '../driver.ts';
import type { EngineInfo, SwarmNode } from './engine-types.ts';
import { platformName } from './images.ts';
import { emulatesLabel, ipvsLabel } from './names.ts';
import type { SiteFacts } from './services.ts';

export function siteNodes(nodes: readonly SwarmNode[]): readonly SiteNode[] {
  return [...nodes].map(siteNode).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

const states = {
  ready: 'Ready',
  down: 'Down',
  unknown: 'Unknown',
  disconnected: 'Disconnected',
} as const;
const availabilities = { active: 'Active', pause: 'Pause', drain: 'Drain' } as const;

function siteNode({ ID, Spec, Description, Status, ManagerStatus }: SwarmNode): SiteNode {
  const architecture = architectureOf(Description.Platform);
  const emulates = emulatedBy(Spec.Labels);
  const address = ManagerStatus?.Addr.replace(/:\d+$/, '') ?? Status.Addr;
  return {
    name: Description.Hostname || ID,
    role: Spec.Role === 'manager' ? 'Manager' : 'Worker',
    availability: availabilities[Spec.Availability],
    state: states[Status.State] ?? 'Unknown',
    leader: ManagerStatus?.Leader ?? false,
    ...(ManagerStatus ? { reachable: ManagerStatus.Reachability === 'reachable' } : {}),
    ...(address ? { address } : {}),
    ...(architecture ? { architecture } : {}),
    ...(emulates.length > 0 ? { emulates: [...emulates] } : {}),
    ...(Description.Engine.EngineVersion ? { engine: Description.Engine.EngineVersion } : {}),
    nodeId: ID,
    cpuMillis: Math.round((Description.Resources.NanoCPUs ?? 0) / 1e6),
    memoryBytes: Description.Resources.MemoryBytes ?? 0,
  };
}

function architectureOf(platform: SwarmNode['Description']['Platform']): string | undefined {
  return platformName({ os: platform.OS, architecture: platform.Architecture });
}

export function emulatedBy(labels: SwarmNode['Spec']['Labels']): readonly string[] {
  return (labels?.[emulatesLabel] ?? '').split(',').filter((name) => name !== '');
}

/** What placing needs to know of the nodes that take tasks. */
export function siteFacts(nodes: readonly SwarmNode[]): SiteFacts {
  const active = nodes.filter(({ Spec, Status }) => takesTasks(Spec, Status));
  const own = active
    .map(({ Description }) => architectureOf(Description.Platform))
    .filter((name) => name !== undefined);
  const emulators = active.flatMap(({ Spec, Description }) => {
    const architecture = architectureOf(Description.Platform);
    const emulates = emulatedBy(Spec.Labels);
    return architecture && emulates.length > 0 ? [{ architecture, emulates }] : [];
  });
  const emulated = emulators.flatMap(({ emulates }) => emulates);
  return {
    architectures: [...new Set([...own, ...emulated])].sort(),
    emulators,
    // A node that nobody has asked yet is taken to be like the others.
    ipvs: !active.some(({ Spec }) => Spec.Labels?.[ipvsLabel] === 'false'),
  };
}

function takesTasks(spec: SwarmNode['Spec'], status: SwarmNode['Status']): boolean {
  return spec.Availability === 'active' && status.State === 'ready';
}

export interface SiteInputs {
  readonly info: EngineInfo;
  readonly nodes: readonly SwarmNode[];
  /** Addresses of the load balancer, where they were set. */
  readonly addresses: readonly string[];
  readonly loadBalancer?: Verdict;
}

export function siteObservation({
  info,
  nodes,
  addresses,
  loadBalancer,
}: SiteInputs): SiteObservation {
  const own = nodes.find(({ ID }) => ID === info.Swarm.NodeID);
  const active = nodes.filter(({ Spec, Status }) => takesTasks(Spec, Status));
  const sum = (value: (node: SwarmNode) => number | undefined): number =>
    active.reduce((total, node) => total + (value(node) ?? 0), 0);
  const quorum = quorumOf(nodes);
  const serving: Verdict = {
    status: 'True',
    reason: cloudletReasons.Serving,
    message: `${active.length} of ${nodes.length} nodes take tasks`,
  };
  return {
    // A leader that has just lost the others still answers, and can change nothing.
    platform: quorum.status === 'True' ? serving : quorum,
    quorum,
    ...(loadBalancer ? { loadBalancer } : {}),
    platformVersion: info.ServerVersion,
    leads: own?.ManagerStatus?.Leader ?? false,
    nodes: siteNodes(nodes),
    addresses: addresses.length > 0 ? addresses : [info.Swarm.NodeAddr],
    architectures: siteFacts(nodes).architectures,
    capacity: {
      cpuMillis: Math.round(sum(({ Description }) => Description.Resources.NanoCPUs) / 1e6),
      memoryBytes: sum(({ Description }) => Description.Resources.MemoryBytes),
    },
  };
}

export function quorumOf(nodes: readonly SwarmNode[]): Verdict {
  const managers = nodes.filter(({ ManagerStatus }) => ManagerStatus);
  const reachable = managers.filter(
    ({ ManagerStatus }) => ManagerStatus?.Reachability === 'reachable',
  );
  const spare = reachable.length - (Math.floor(managers.length / 2) + 1);
  const text = `${reachable.length} of ${managers.length} managers are reachable, ${Math.max(0, spare)} may be lost`;
  if (spare < 0) return { status: 'False', reason: cloudletReasons.QuorumLost, message: text };
  if (managers.length % 2 === 0) {
    const message = `${text}; an even number of managers survives no more losses than ${managers.length - 1}`;
    return { status: 'True', reason: cloudletReasons.EvenManagers, message };
  }
  return { status: 'True', reason: cloudletReasons.QuorumHeld, message: text };
}

/** The site as it was last known, for a time when nobody can be asked. */
export function leaderlessSite(
  last: SiteObservation | undefined,
  leads: boolean,
  problem: { readonly reason: string; readonly message: string },
): SiteObservation {
  const verdict: Verdict = { status: 'False', ...problem };
  const isQuorum = problem.reason === cloudletReasons.QuorumLost;
  return {
    ...(last ?? { nodes: [], addresses: [], architectures: [], capacity: {} }),
    platform: verdict,
    quorum: isQuorum
      ? verdict
      : { status: 'Unknown', reason: problem.reason, message: problem.message },
    leads,
  };
}
