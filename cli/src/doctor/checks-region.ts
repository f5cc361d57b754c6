/** Whether the region's processes live and are who they should be: Leases, pods, certificates, versions. Pure. */
import { accountOf } from '@cloudlet/operator/install';
import { hubLeasePrefix, leaseAnnotations, operatorLease } from '@cloudlet/operator';
import { type Lease, parseMicroTime } from '@cloudlet/runtime/kubernetes';
import { namespaces } from '@cloudlet/crds';
import { dayMs, type Finding, isOlder, minuteMs, problem, warning } from './finding.ts';
import type { Pod, RegionView } from './view.ts';

const kubectl = `kubectl -n ${namespaces.system}`;
/** Leases are renewed every few seconds; this much later nobody renews them. */
const lateMs = 5_000;

export const endOfLease = ({ spec }: Lease): number =>
  (parseMicroTime(spec?.renewTime) ?? 0) + (spec?.leaseDurationSeconds ?? 0) * 1000;

const isLive = (lease: Lease, now: number): boolean =>
  Boolean(lease.spec?.holderIdentity) && endOfLease(lease) + lateMs > now;

export function operatorCheck({ leases, now }: RegionView): readonly Finding[] {
  if (!leases) return [];
  const lease = leases.find(({ metadata }) => metadata.name === operatorLease);
  const object = `Lease ${namespaces.system}/${operatorLease}`;
  if (lease && isLive(lease, now)) return [];
  return [
    problem(
      'NoLeader',
      object,
      'No operator leads: nothing is placed, rolled out or removed, and no status is summed up.',
      `'${kubectl} get pods -l app.kubernetes.io/name=${accountOf('operator')}' and its logs; see CloudletNoLeader in docs/runbooks.md.`,
      lease ? timeOf(endOfLease(lease)) : undefined,
    ),
  ];
}

const goneMs = 60 * minuteMs;

export function hubsCheck({ leases, now }: RegionView): readonly Finding[] {
  if (!leases) return [];
  const hubs = leases.filter(({ metadata }) => metadata.name.startsWith(hubLeasePrefix));
  if (!hubs.some((lease) => isLive(lease, now)))
    return [
      problem(
        'NoHub',
        `Leases ${namespaces.system}/${hubLeasePrefix}*`,
        'No hub is alive: no site hears of changes or reports. What runs at sites keeps running.',
        `'${kubectl} get pods -l app.kubernetes.io/name=${accountOf('hub')}' and its logs; see CloudletHubDown in docs/runbooks.md.`,
      ),
    ];
  return hubs
    .filter((lease) => lease.spec?.holderIdentity && !isLive(lease, now))
    .filter((lease) => now - endOfLease(lease) < goneMs)
    .map((lease) =>
      warning(
        'HubGone',
        `Lease ${namespaces.system}/${lease.metadata.name}`,
        'This hub ended without giving its Lease back; its sites have dialled another.',
        `'${kubectl} get pods' and the last lines of that pod's log ('logs --previous').`,
        timeOf(endOfLease(lease)),
      ),
    );
}

const manyRestarts = 5;

export function podsCheck({ pods, now }: RegionView): readonly Finding[] {
  return (pods ?? []).flatMap((pod) => {
    const object = `Pod ${namespaces.system}/${pod.metadata.name}`;
    const waiting = pod.status?.containerStatuses?.find(({ state }) => state?.waiting)?.state
      ?.waiting;
    const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
    const isDone = pod.status?.phase === 'Succeeded';
    if (!isDone && ready?.status !== 'True' && isOlder(readySince(pod), minuteMs, now))
      return [
        problem(
          waiting?.reason ?? 'NotReady',
          object,
          `It is not ready: ${waiting?.message ?? ready?.message ?? pod.status?.phase ?? 'no status'}.`,
          `'${kubectl} describe pod ${pod.metadata.name}' and '${kubectl} logs ${pod.metadata.name} --previous'.`,
          ready?.lastTransitionTime,
        ),
      ];
    return restartsOf(pod, object, now);
  });
}

const readySince = (pod: Pod): string | undefined =>
  pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime ??
  pod.metadata.creationTimestamp;

function restartsOf(pod: Pod, object: string, now: number): readonly Finding[] {
  for (const { restartCount, lastState } of pod.status?.containerStatuses ?? []) {
    const { reason, finishedAt } = lastState?.terminated ?? {};
    const isRecent = finishedAt !== undefined && !isOlder(finishedAt, dayMs, now);
    if (restartCount < manyRestarts || !isRecent) continue;
    return [
      warning(
        reason ?? 'Restarts',
        object,
        `It was started again ${restartCount} times; the last end was ${reason ?? 'an error'}.`,
        `'${kubectl} logs ${pod.metadata.name} --previous'; OOMKilled wants more memory in the chart's resources.`,
        finishedAt,
      ),
    ];
  }
  return [];
}

/** Serving certificates are renewed with a third of their life left: two days before the end, nobody did. */
const certificateSoonMs = 2 * dayMs;
const authoritySoonMs = 90 * dayMs;

export function certificatesCheck({ certificates, now }: RegionView): readonly Finding[] {
  return (certificates ?? []).flatMap((certificate) => {
    if ('absent' in certificate)
      return [
        problem(
          'NoCertificate',
          `Secret ${namespaces.system}/${certificate.absent}`,
          'It is not there or holds no certificate, so the process that serves with it does not start.',
          `The operator makes it: '${kubectl} logs deployment/${accountOf('operator')}'.`,
        ),
      ];
    const { secret, notAfter, authorityNotAfter } = certificate;
    const object = `Secret ${namespaces.system}/${secret}`;
    return [
      ...endingSoon(object, 'certificate', notAfter, certificateSoonMs, now, [
        `The operator renews it: '${kubectl} logs deployment/${accountOf('operator')}'; deleting the Secret makes it anew.`,
      ]),
      ...endingSoon(object, 'authority', authorityNotAfter, authoritySoonMs, now, [
        'A new authority means that every site enrols again: plan it; see docs/threat-model.md.',
      ]),
    ];
  });
}

function endingSoon(
  object: string,
  what: string,
  end: number | undefined,
  soonMs: number,
  now: number,
  [remedy = '']: readonly string[],
): readonly Finding[] {
  if (end === undefined || end - now > soonMs) return [];
  const judge = end <= now ? problem : warning;
  const verb = end <= now ? 'ended' : 'ends';
  const reason = end <= now ? 'Expired' : 'ExpiresSoon';
  return [judge(reason, object, `Its ${what} ${verb} at ${timeOf(end)}.`, remedy)];
}

export function versionsCheck(view: RegionView): readonly Finding[] {
  const { leases, objects, pluginVersion, now } = view;
  const hubs = (leases ?? []).filter(
    (lease) => lease.metadata.name.startsWith(hubLeasePrefix) && isLive(lease, now),
  );
  const hubVersions = distinct(
    hubs.map(({ metadata }) => metadata.annotations?.[leaseAnnotations.version]),
  );
  const [region] = hubVersions;
  if (hubVersions.length > 1)
    return [
      warning(
        'VersionSkew',
        'Hubs',
        `Hubs of several versions run: ${hubVersions.join(', ')}.`,
        `Let the roll-out end: '${kubectl} rollout status deployment/${accountOf('hub')}'.`,
      ),
    ];
  if (region === undefined) return [];
  const agents = (objects.Cloudlet ?? []).flatMap((cloudlet) => {
    const version = cloudlet.status?.site?.version;
    if (version === undefined || version === 'dev' || version === region) return [];
    return [
      warning(
        'VersionSkew',
        `Cloudlet ${cloudlet.metadata.name}`,
        `Its agent is ${version}, the region ${region}.`,
        'Upgrade the region first, then the agents, within one minor version of each other.',
      ),
    ];
  });
  if (pluginVersion === 'dev' || pluginVersion === region) return agents;
  const own = warning(
    'VersionSkew',
    'kubectl-cloudlet',
    `This plugin is ${pluginVersion}, the region ${region}.`,
    "Take the plugin of the region's version.",
  );
  return [...agents, own];
}

const distinct = (versions: readonly (string | undefined)[]): readonly string[] =>
  [...new Set(versions)]
    .filter((version): version is string => version !== undefined && version !== 'dev')
    .sort();

export function clockCheck({ skewMs }: RegionView): readonly Finding[] {
  if (Math.abs(skewMs) < minuteMs) return [];
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  return [
    warning(
      'ClockWrong',
      'This machine',
      `Its clock is ${seconds} s ${skewMs < 0 ? 'behind' : 'ahead of'} the API server's; tokens and certificates may be refused.`,
      "Set it by NTP: 'timedatectl set-ntp true'.",
    ),
  ];
}

const timeOf = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
