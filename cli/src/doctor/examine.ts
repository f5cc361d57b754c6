/**
 * The checks in their order: first what everything else hangs on. Pure; each is a function of the view.
 *
 * Guarantees: a check that had nothing to look at, since the caller may not read it, says so and is not `ok`.
 */
import type { Cloudlet } from '@cloudlet/crds';
import { accessCheck, flowControlCheck, kindsCheck, policiesCheck } from './checks-install.ts';
import { deletionsCheck, instancesCheck } from './checks-instances.ts';
import {
  capacityCheck,
  entriesCheck,
  plansCheck,
  portsCheck,
  tombstonesCheck,
} from './checks-ledger.ts';
import {
  certificatesCheck,
  clockCheck,
  hubsCheck,
  operatorCheck,
  podsCheck,
  versionsCheck,
} from './checks-region.ts';
import {
  connectionCheck,
  keysCheck,
  nodesCheck,
  orphansCheck,
  readyCheck,
  reportedCheck,
  type SiteCheck,
} from './checks-site.ts';
import { type CheckResult, type Finding, unknown } from './finding.ts';
import type { RegionView } from './view.ts';

interface RegionCheck {
  readonly name: string;
  /** Whether the caller may read what it looks at. */
  readonly canLook: (view: RegionView) => boolean;
  readonly judge: (view: RegionView) => readonly Finding[];
}

const always = (): boolean => true;
const seesInstalled =
  (...kinds: readonly string[]) =>
  ({ installed }: RegionView): boolean =>
    kinds.every((kind) => installed.has(kind));
const seesLeases = ({ leases }: RegionView): boolean => leases !== undefined;
const seesInstances = ({ objects }: RegionView): boolean => objects.AppInst !== undefined;
const seesAny = ({ objects }: RegionView): boolean => Object.keys(objects).length > 0;
const seesSites = ({ objects }: RegionView): boolean => objects.Cloudlet !== undefined;

const regionChecks: readonly RegionCheck[] = [
  { name: 'clock of this machine', canLook: always, judge: clockCheck },
  { name: 'kinds', canLook: ({ crds }) => crds !== undefined, judge: kindsCheck },
  { name: 'operator', canLook: seesLeases, judge: operatorCheck },
  { name: 'hubs', canLook: seesLeases, judge: hubsCheck },
  {
    name: 'access API',
    canLook: ({ apiService }) => apiService !== undefined,
    judge: accessCheck,
  },
  { name: 'pods', canLook: ({ pods }) => pods !== undefined, judge: podsCheck },
  {
    name: 'certificates',
    canLook: ({ certificates }) => certificates !== undefined,
    judge: certificatesCheck,
  },
  {
    name: 'admission policies',
    canLook: seesInstalled('ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'),
    judge: policiesCheck,
  },
  { name: 'flow control', canLook: seesInstalled('FlowSchema'), judge: flowControlCheck },
  { name: 'versions', canLook: seesLeases, judge: versionsCheck },
];

const siteChecks: readonly SiteCheck[] = [
  { name: 'connection', judge: connectionCheck },
  { name: 'keys and certificates', judge: keysCheck },
  { name: 'state', judge: readyCheck },
  { name: 'clock', judge: reportedCheck('ClockInSync') },
  { name: 'platform', judge: reportedCheck('PlatformReady') },
  { name: 'quorum', judge: reportedCheck('Quorum') },
  { name: 'nodes', judge: nodesCheck },
  { name: 'load balancer', judge: reportedCheck('LoadBalancerReady') },
  { name: 'capacity', judge: capacityCheck },
  { name: 'ports', judge: portsCheck },
  { name: 'plans', judge: plansCheck },
  { name: 'removals', judge: tombstonesCheck },
  { name: 'entries', judge: entriesCheck },
  { name: 'orphans', judge: orphansCheck },
];

const askFor = 'Ask who runs the region for the right, or have him run the doctor.';

/** The whole region: its processes, every site, every instance. */
export function examineRegion(view: RegionView): readonly CheckResult[] {
  const sites = view.objects.Cloudlet ?? [];
  return [
    ...examined(regionChecks, view),
    seesSites(view)
      ? {
          check: sitesCounted(sites.length),
          findings: sites.flatMap((site) => siteChecks.flatMap(({ judge }) => judge(site, view))),
        }
      : notLooked('sites'),
    ...examined(
      [
        { name: 'instances', canLook: seesInstances, judge: instancesCheck },
        { name: 'deletions', canLook: seesAny, judge: deletionsCheck },
      ],
      view,
    ),
  ];
}

const sitesCounted = (count: number): string => `${count} ${count === 1 ? 'site' : 'sites'}`;

/** One site, and what is placed there. */
export function examineSite(cloudlet: Cloudlet, view: RegionView): readonly CheckResult[] {
  const { name } = cloudlet.metadata;
  const { AppInst: all, ...others } = view.objects;
  const placed = all?.filter(({ status }) => status?.placement?.cloudlet === name);
  const objects = { ...(placed ? { AppInst: placed } : {}), Cloudlet: [cloudlet] };
  return [
    ...siteChecks.map(({ name: check, judge }) => ({
      check,
      // With all instances: which of them are the site's, a check of the ledger finds out by itself.
      findings: judge(cloudlet, {
        ...view,
        objects: { ...others, ...objects, ...(all ? { AppInst: all } : {}) },
      }),
    })),
    ...examined(
      [
        { name: 'versions', canLook: seesLeases, judge: versionsCheck },
        { name: 'instances', canLook: seesInstances, judge: instancesCheck },
        { name: 'deletions', canLook: seesAny, judge: deletionsCheck },
      ],
      { ...view, objects },
    ),
  ];
}

function examined(checks: readonly RegionCheck[], view: RegionView): readonly CheckResult[] {
  return checks.map(({ name, canLook, judge }) =>
    canLook(view) ? { check: name, findings: judge(view) } : notLooked(name),
  );
}

const notLooked = (check: string): CheckResult => ({
  check,
  findings: [unknown(check, 'You may not read what it looks at.', askFor)],
});
