/** What is wrong with instances and with what is being deleted: from their conditions alone. Pure. */
import { annotations, type AppInst, type Resource } from '@cloudlet/crds';
import { conditionOf } from './checks-site.ts';
import { instanceOf } from './checks-ledger.ts';
import { type Finding, isOlder, minuteMs, problem } from './finding.ts';
import type { RegionView } from './view.ts';

/** States that lead to another by themselves. */
const transitional: readonly string[] = ['Progressing', 'WaitingForSite', 'Starting'];
const patienceMs = 2 * minuteMs;
const operatorLogs = "'kubectl -n cloudlet-system logs deployment/cloudlet-operator'.";

export function instancesCheck({ objects, now }: RegionView): readonly Finding[] {
  return (objects.AppInst ?? []).flatMap((appInst) => judged(appInst, now));
}

function judged(appInst: AppInst, now: number): readonly Finding[] {
  const { spec, metadata } = appInst;
  if (spec.suspend || spec.powerState === 'Off' || metadata.deletionTimestamp) return [];
  const object = instanceOf(appInst);
  const ready = conditionOf(appInst, 'Ready');
  if (!ready)
    return isOlder(metadata.creationTimestamp, minuteMs, now)
      ? [problem('NotObserved', object, 'No operator has looked at it yet.', operatorLogs)]
      : [];
  if (ready.status === 'True') return [];
  const { reason, message, lastTransitionTime } = ready;
  if (transitional.includes(reason) && !isOlder(lastTransitionTime, patienceMs, now)) return [];
  return [problem(reason, object, message, remedyOf(reason, appInst), lastTransitionTime)];
}

const remedies: Readonly<Record<string, string>> = {
  AppNotFound: 'Make the App that spec.appRef names.',
  AppInvalid: "'kubectl describe app' of the one that spec.appRef names; mend it.",
  ZoneNotFound: 'Name a Zone that is there in spec.zoneRef.',
  CloudletNotFound: 'Name a Cloudlet that is there in spec.cloudletRef.',
  ClusterNotFound: 'Name a Cluster that is there in spec.clusterRef.',
  FlavorNotFound: "Name a Flavor that is there: 'kubectl get flavors'.",
  SecretNotFound:
    "Make the Secret in the instance's namespace, and label that edge.cloudlet.dev/organization=true, so that the operator may read it.",
  NamespaceNotAllowed: "Have the Cluster's spec.allowedNamespaces name this one.",
  NoSiteFits: "'kubectl cloudlet explain -f FILE' says of every site why not.",
  PortsExhausted: 'Widen spec.loadBalancer.portRange of the site, or ask for fewer ports.',
  SiteUnreachable: 'Mend the site: see its findings here. What runs there keeps running.',
  ImageNotFound:
    "Mend spec.image of the App, or its registry credentials; the site's nodes pull it, so they must reach the registry.",
  ArchitectureMismatch: "Build the image for an architecture of the site's nodes too.",
  Unsupported: "Upgrade the site's agent.",
  RolloutFailed: 'Mend the App: the next revision is rolled out; the last healthy one runs on.',
  RolledBack:
    'Mend the App, or what the AppInst sets: another plan is tried at once. The last healthy one runs on, and a site that went back to it by itself tries again when its message says.',
  QuorumLost: "Bring the swarm's managers back: see the site's findings here.",
};

function remedyOf(reason: string, { metadata }: AppInst): string {
  const { name, namespace } = metadata;
  const logs = `'kubectl cloudlet logs ${name} -n ${namespace} --tail 50'`;
  if (reason === 'Unhealthy' || transitional.includes(reason))
    return `${logs} says what the program says; the health check must answer on each port.`;
  return remedies[reason] ?? `'kubectl describe appinst ${name} -n ${namespace}'.`;
}

const deletedWithinMs = 5 * minuteMs;

/** What is deleted and still there: a finalizer waits for something. */
export function deletionsCheck({ objects, now }: RegionView): readonly Finding[] {
  return Object.entries(objects).flatMap(([kind, items]) =>
    (items as readonly Resource<unknown, { readonly conditions?: never }>[])
      .filter(({ metadata }) => isOlder(metadata.deletionTimestamp, deletedWithinMs, now))
      .map((object) => {
        const { name, namespace, deletionTimestamp, finalizers = [] } = object.metadata;
        const key = namespace === undefined ? name : `${namespace}/${name}`;
        const why = conditionOf(object, 'Ready')?.message;
        return problem(
          'DeletionStuck',
          `${kind} ${key}`,
          `It is deleted and held by ${finalizers.join(', ') || 'nobody'}${why ? `: ${why}` : '.'}`,
          deletionRemedy(kind, key),
          deletionTimestamp,
        );
      }),
  );
}

function deletionRemedy(kind: string, key: string): string {
  if (kind !== 'AppInst' && kind !== 'Cloudlet')
    return 'Delete what its condition names; a finalizer that is taken off by hand leaves that behind.';
  const [first = '', second] = key.split('/');
  const place = second === undefined ? first : `${second} -n ${first}`;
  return `Have the site come back, or let go of what is there: 'kubectl annotate ${kind.toLowerCase()} ${place} ${annotations.abandon}=true'.`;
}
