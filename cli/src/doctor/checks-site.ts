/**
 * What is wrong with one site: its connection, keys, platform and nodes, from what its status says. Pure.
 * Every check is for one Cloudlet; the region's doctor asks them of all.
 */
import type { AppInst, Cloudlet, Condition } from '@cloudlet/crds';
import { hubLeasePrefix, instanceIdOf, siteLeaseName } from '@cloudlet/operator';
import { endOfLease } from './checks-region.ts';
import { dayMs, type Finding, isOlder, minuteMs, problem, warning } from './finding.ts';
import type { RegionView } from './view.ts';

export interface SiteCheck {
  readonly name: string;
  readonly judge: (cloudlet: Cloudlet, view: RegionView) => readonly Finding[];
}

export const objectOf = ({ metadata }: Cloudlet): string => `Cloudlet ${metadata.name}`;

export const conditionOf = (
  object: { readonly status?: { readonly conditions?: readonly Condition[] | undefined } },
  type: string,
): Condition | undefined => object.status?.conditions?.find((one) => one.type === type);

export const isConnected = (cloudlet: Cloudlet): boolean =>
  conditionOf(cloudlet, 'Connected')?.status === 'True';

const atTheSite = "On its machine: 'cloudlet-agent doctor' and 'journalctl -u cloudlet-agent'.";

const connectionRemedies: Readonly<Record<string, (name: string) => string>> = {
  SiteUnreachable: () => `${atTheSite} What runs there keeps running.`,
  NeverConnected: (name) =>
    `Join it: 'kubectl cloudlet join ${name} | ssh HOST cloudlet-agent --join-file -'.`,
  HubUnavailable: () =>
    "'kubectl -n cloudlet-system get pods -l app.kubernetes.io/name=cloudlet-hub'; nothing is moved away meanwhile.",
  VersionMismatch: () =>
    "Upgrade what the message names: the agent by the package of the region's version on its machine, the region by 'helm upgrade'. What runs there keeps running.",
  DuplicateAgent: (name) =>
    `Stop one of the two machines that share a state folder, delete its folder, then put the other's key into spec.acceptedKeys of 'kubectl edit cloudlet ${name}' (take it out and save first, where it is there). A key that was stolen belongs into spec.revokedKeys: the agent makes a new one when identity/ is gone from its state folder, and waits with it in status.waiting.`,
};

export function connectionCheck(cloudlet: Cloudlet, view: RegionView): readonly Finding[] {
  const { name, creationTimestamp } = cloudlet.metadata;
  const object = objectOf(cloudlet);
  if (cloudlet.spec.revoked)
    return [
      warning(
        'Revoked',
        object,
        'spec.revoked is true: every agent of it is cut off.',
        `When it is to be trusted again: kubectl patch cloudlet ${name} --type merge -p '{"spec":{"revoked":false}}'`,
      ),
    ];
  const connected = conditionOf(cloudlet, 'Connected');
  if (!connected)
    return isOlder(creationTimestamp, minuteMs, view.now)
      ? [problem('NotObserved', object, 'No operator has looked at it yet.', operatorLogs)]
      : [];
  if (connected.status === 'True') return staleConnection(cloudlet, view);
  const since = cloudlet.status?.connection?.since ?? connected.lastTransitionTime;
  const remedy = connectionRemedies[connected.reason]?.(name) ?? atTheSite;
  return [problem(connected.reason, object, connected.message, remedy, since)];
}

const operatorLogs = "'kubectl -n cloudlet-system logs deployment/cloudlet-operator'.";
const staleMs = 2 * minuteMs;

/** The status is the operator's: when that is gone it stays as it was. */
function staleConnection(cloudlet: Cloudlet, { leases, now }: RegionView): readonly Finding[] {
  if (!leases?.some(({ metadata }) => metadata.name.startsWith(hubLeasePrefix))) return [];
  const lease = leases.find(
    ({ metadata }) => metadata.name === siteLeaseName(cloudlet.metadata.name),
  );
  if (lease && (!lease.spec?.renewTime || endOfLease(lease) + staleMs > now)) return [];
  return [
    problem(
      'StaleStatus',
      objectOf(cloudlet),
      'Its status says Connected, and its Lease has ended: nobody keeps the status.',
      operatorLogs,
    ),
  ];
}

const certificateSoonMs = 5 * dayMs;

export function keysCheck(cloudlet: Cloudlet, { now }: RegionView): readonly Finding[] {
  const { keys = [], waiting = [], joinToken } = cloudlet.status ?? {};
  const object = objectOf(cloudlet);
  const { name } = cloudlet.metadata;
  const renew = `kubectl cloudlet join ${name} --renew`;
  const isTokenOver =
    keys.length === 0 &&
    joinToken !== undefined &&
    joinToken.usedBy === undefined &&
    Date.parse(joinToken.expiresAt) <= now;
  return [
    ...waiting.map(({ fingerprint, member = 'an agent', address = 'an unknown address', since }) =>
      warning(
        'KeyWaiting',
        object,
        `${member} at ${address} asks to be let in with the key ${fingerprint}.`,
        `Compare the fingerprint with what the agent logs there, then: ${acceptance(cloudlet, fingerprint)}`,
        since,
      ),
    ),
    ...(isTokenOver
      ? [warning('JoinExpired', object, 'Its join was not used in time.', `'${renew}'.`)]
      : []),
    ...keys.flatMap(({ fingerprint, member = fingerprint, notAfter }) => {
      const end = notAfter === undefined ? NaN : Date.parse(notAfter);
      if (Number.isNaN(end) || end - now > certificateSoonMs) return [];
      const [reason, verb] = end <= now ? ['Expired', 'ended'] : ['ExpiresSoon', 'ends'];
      const isOnly = end <= now && keys.every((key) => Date.parse(key.notAfter ?? '') <= now);
      const judge = isOnly ? problem : warning;
      return [
        judge(
          reason,
          object,
          `The certificate of ${member} ${verb} at ${notAfter}; agents renew with ten days left.`,
          `That member must reach the enrolment port: 'cloudlet-agent doctor' there.`,
        ),
      ];
    }),
  ];
}

/** A merge patch replaces the list, so it repeats what is accepted already. */
function acceptance({ metadata, spec }: Cloudlet, fingerprint: string): string {
  const acceptedKeys = [...(spec.acceptedKeys ?? []), fingerprint];
  return `kubectl patch cloudlet ${metadata.name} --type merge -p '${JSON.stringify({ spec: { acceptedKeys } })}'`;
}

const conditionRemedies: Readonly<Record<string, string>> = {
  EngineUnreachable: "On its machine: 'systemctl status docker' and 'docker info'.",
  StateNotWritable:
    "On its machine: 'df -h /var/lib/cloudlet-agent'; free space, or mend the disk.",
  NotASwarmManager:
    "Run the agent on a manager: 'docker node promote NODE' on one, or 'docker swarm init' where there is no swarm.",
  QuorumLost:
    "Bring back the managers that are down. If they are gone for good, on one that is left: 'docker swarm init --force-new-cluster'; what runs keeps running meanwhile.",
  EvenManagers: "Make the number odd: 'docker node promote' or 'docker node demote' one.",
  LoadBalancerFailed:
    "On its machine: 'docker logs' of the container cloudlet-lb, and whether something else holds its ports ('ss -ltnup').",
  ClockWrong: "On its machine: 'timedatectl set-ntp true'.",
  ZoneNotFound: 'Make the Zone that spec.zoneRef names, or name another.',
  Draining: 'When the work on it is done, set spec.maintenance: Normal.',
};

/** Conditions of the agent are of the past while it is not connected. */
export const reportedCheck =
  (type: string) =>
  (cloudlet: Cloudlet): readonly Finding[] => {
    const condition = conditionOf(cloudlet, type);
    if (!isConnected(cloudlet) || !condition) return [];
    const isHint = condition.reason === 'EvenManagers';
    if (condition.status === 'True' && !isHint) return [];
    const remedy = conditionRemedies[condition.reason] ?? atTheSite;
    const judge = isHint ? warning : problem;
    const { reason, message, lastTransitionTime } = condition;
    return [judge(reason, objectOf(cloudlet), message, remedy, lastTransitionTime)];
  };

/** What Ready says that no other condition does. */
export function readyCheck(cloudlet: Cloudlet): readonly Finding[] {
  const ready = conditionOf(cloudlet, 'Ready');
  const isOwn = ready?.reason === 'ZoneNotFound' || ready?.reason === 'Draining';
  if (!ready || ready.status === 'True' || !isOwn) return [];
  const judge = ready.reason === 'Draining' ? warning : problem;
  const { reason, message, lastTransitionTime } = ready;
  return [
    judge(reason, objectOf(cloudlet), message, conditionRemedies[reason] ?? '', lastTransitionTime),
  ];
}

export function nodesCheck(cloudlet: Cloudlet): readonly Finding[] {
  if (!isConnected(cloudlet)) return [];
  return (cloudlet.status?.site?.nodes ?? []).flatMap((node) => {
    const { name, role, state, reachable, address = 'no known address' } = node;
    const isManagerLost = role === 'Manager' && reachable === false;
    if (state === 'Ready' && !isManagerLost) return [];
    const what = state === 'Ready' ? 'is not reachable for the other managers' : `is ${state}`;
    return [
      warning(
        'NodeDown',
        objectOf(cloudlet),
        `${role} ${name} (${address}) ${what}.`,
        `Look at that machine and its network. If it is gone for good: 'docker node rm --force ${name}' on a manager.`,
      ),
    ];
  });
}

export function orphansCheck(cloudlet: Cloudlet, { objects }: RegionView): readonly Finding[] {
  return (cloudlet.status?.site?.orphans ?? []).map(({ id, name = id }) => {
    const appInst = objects.AppInst?.find((one) => instanceIdOf(one) === id);
    const place = appInst?.status?.placement?.cloudlet;
    if (appInst && place !== undefined && place !== cloudlet.metadata.name)
      return otherCopy({ cloudlet, name, appInst, place });
    return warning(
      'Orphaned',
      objectOf(cloudlet),
      `${name} runs there, and the region does not know it (instance ${id}).`,
      `If nobody needs it: 'kubectl cloudlet shell ${cloudlet.metadata.name} -- docker stack rm ${name}'.`,
    );
  });
}

interface Copy {
  readonly cloudlet: Cloudlet;
  /** What it is called there. */
  readonly name: string;
  readonly appInst: AppInst;
  readonly place: string;
}

/** The region has it removed by itself, when the instance is well where it is placed. */
function otherCopy({ cloudlet, name, appInst: { metadata }, place }: Copy): Finding {
  return warning(
    'RunsTwice',
    objectOf(cloudlet),
    `${name} runs there, and its AppInst ${metadata.namespace}/${metadata.name} is placed at ${place}: the region was restored from a backup.`,
    `It is removed, but for its volumes, once the AppInst is healthy at ${place}: 'kubectl describe appinst ${metadata.name} -n ${metadata.namespace}' says what is missing. Where this copy is to be kept, have spec.cloudletRef of the AppInst name ${cloudlet.metadata.name} first.`,
  );
}
