import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppInst, mistakesOf } from '@cloudlet/crds';
import { instanceIdOf } from '@cloudlet/operator';
import { aCloudlet, aCondition, anAppInst, anEntry } from '@cloudlet/operator/testing';
import { examineSite } from './examine.ts';
import { ago, aLease, aLedger, aView, findingsOf, site, siteResults, told } from './testing.ts';

test('a site that is well has no findings', () => {
  assert.deepEqual(site(aCloudlet()), []);
});

test('a site without a connection says why, since when and what to do for that reason', () => {
  const lost = (reason: string) =>
    aCloudlet({
      status: {
        connection: { since: ago(7) },
        conditions: [
          aCondition('Connected', 'False', reason, 'No agent of the site is connected.'),
          aCondition('PlatformReady', 'False', 'EngineUnreachable', 'of the past'),
        ],
      },
    });
  const findings = findingsOf(siteResults(lost('SiteUnreachable')));
  assert.deepEqual(findings, [
    {
      severity: 'Problem',
      reason: 'SiteUnreachable',
      object: 'Cloudlet edge1',
      message: 'No agent of the site is connected.',
      remedy:
        "On its machine: 'cloudlet-agent doctor' and 'journalctl -u cloudlet-agent'. What runs there keeps running.",
      since: ago(7),
    },
  ]);
  const [never] = findingsOf(siteResults(lost('NeverConnected')));
  assert.match(never?.remedy ?? '', /kubectl cloudlet join edge1 \|/);
});

test('a status that says Connected under a Lease that has ended is not believed', () => {
  const leases = [aLease('hub-a', 5), aLease('site-edge1', 600, 'hub-a/boot')];
  const results = examineSite(aCloudlet(), aView({ leases }));
  assert.ok(told(results).includes('Problem StaleStatus: Cloudlet edge1'));
});

test('a key that waits comes with the command that lets it in beside those that are', () => {
  const cloudlet = aCloudlet({
    spec: { acceptedKeys: ['SHA256:old'] },
    status: {
      waiting: [
        { fingerprint: 'SHA256:new', member: 'phone-2', address: '10.0.0.9', since: ago(3) },
      ],
      keys: [
        { fingerprint: 'SHA256:old', member: 'phone-1', notAfter: ago(-60) },
        { fingerprint: 'SHA256:gone', member: 'phone-0', notAfter: ago(60) },
      ],
    },
  });
  const [waiting, soon, gone] = findingsOf(siteResults(cloudlet));
  assert.match(waiting?.message ?? '', /phone-2 at 10\.0\.0\.9 .* SHA256:new/);
  assert.ok(
    waiting?.remedy.endsWith(
      `kubectl patch cloudlet edge1 --type merge -p '{"spec":{"acceptedKeys":["SHA256:old","SHA256:new"]}}'`,
    ),
  );
  assert.deepEqual([soon?.reason, soon?.severity], ['ExpiresSoon', 'Warning']);
  assert.deepEqual([gone?.reason, gone?.severity], ['Expired', 'Warning']);
});

test('what the agent reports of platform, clock, quorum, balancer and nodes is told with a remedy', () => {
  const cloudlet = aCloudlet({
    status: {
      conditions: [
        aCondition('Connected', 'True', 'Connected'),
        aCondition('PlatformReady', 'False', 'NotASwarmManager', 'no manager'),
        aCondition('ClockInSync', 'False', 'ClockWrong', '9 s behind'),
        aCondition('Quorum', 'True', 'EvenManagers', '2 of 2'),
        aCondition('LoadBalancerReady', 'False', 'LoadBalancerFailed', 'no'),
      ],
      site: {
        ...{ uid: '', boot: '', sequence: 1 },
        nodes: [
          { name: 'a', role: 'Manager', state: 'Ready', reachable: true },
          { name: 'b', role: 'Manager', state: 'Ready', reachable: false },
          { name: 'c', role: 'Worker', state: 'Down' },
        ],
        orphans: [{ id: 'x1', name: 'shop-x1' }],
      },
    },
  });
  assert.deepEqual(site(cloudlet), [
    'Problem ClockWrong: Cloudlet edge1',
    'Problem NotASwarmManager: Cloudlet edge1',
    'Warning EvenManagers: Cloudlet edge1',
    'Warning NodeDown: Cloudlet edge1',
    'Warning NodeDown: Cloudlet edge1',
    'Problem LoadBalancerFailed: Cloudlet edge1',
    'Warning Orphaned: Cloudlet edge1',
  ]);
  assert.ok(findingsOf(siteResults(cloudlet)).every(({ remedy }) => remedy !== ''));
});

test('an orphan whose AppInst is placed elsewhere is told as a second copy, which the region removes', () => {
  const orphans = [{ id: 'id-web', name: 'web-idweb', sequence: 7 }];
  const cloudlet = aCloudlet({
    status: { site: { ...{ uid: '', boot: '', sequence: 1 }, orphans } },
  });
  const placedAt = (name: string) => ({
    objects: { AppInst: [anAppInst({ status: { placement: { cloudlet: name, sequence: 1 } } })] },
  });
  const reasons = (view: Parameters<typeof siteResults>[1]) =>
    findingsOf(siteResults(cloudlet, view)).map(({ reason }) => reason);
  assert.ok(reasons(placedAt('edge2')).includes('RunsTwice'));
  assert.ok(!reasons(placedAt('edge2')).includes('Orphaned'));
  assert.ok(reasons({}).includes('Orphaned'));
});

test('capacity counts against the lower of what is there and the quota', () => {
  const cloudlet = (cpuMillis: number) =>
    aCloudlet({
      spec: { resourceQuotas: [{ name: 'vcpus', value: '2' }] },
      status: {
        allocated: { instances: 3, cpuMillis, memoryBytes: 1 },
        site: { ...{ uid: '', boot: '', sequence: 1 }, capacity: { cpuMillis: 8000 } },
        conditions: [aCondition('Connected', 'True', 'Connected')],
      },
    });
  assert.deepEqual(site(cloudlet(1700)), []);
  assert.deepEqual(site(cloudlet(1800)), ['Warning NearlyFull: Cloudlet edge1']);
  assert.deepEqual(site(cloudlet(2100)), ['Problem OverCommitted: Cloudlet edge1']);
});

/** Nothing is wrong with one that is off. */
const off = anAppInst({ spec: { powerState: 'Off' } });
const offId = instanceIdOf(off) ?? off.metadata.uid;

test('a port range is full by what the ledger holds, removals included, each port once', () => {
  const cloudlet = aCloudlet({ spec: { loadBalancer: { portRange: { first: 100, last: 109 } } } });
  const port = (name: string, publicPort: number, count = 1) => ({
    ...{ name, protocol: 'TCP' as const, port: 80, publicPort, count },
  });
  const held = (count: number) => ({
    objects: {
      AppInst: [off],
      CloudletLedger: [
        aLedger({
          entries: [anEntry({ id: offId, ports: [port('a', 100, count), port('b', 80)] })],
          tombstones: [
            {
              id: 't',
              sequence: 2,
              reason: 'Moved' as const,
              since: ago(1),
              ports: [port('c', 109)],
            },
          ],
        }),
      ],
    },
  });
  assert.deepEqual(site(cloudlet, held(7)), []);
  assert.deepEqual(site(cloudlet, held(8)), ['Warning NearlyFull: Cloudlet edge1']);
  assert.deepEqual(site(cloudlet, held(9)), ['Problem PortsExhausted: Cloudlet edge1']);
});

const placed = (status: AppInst['status'], spec: Partial<AppInst['spec']> = {}): AppInst =>
  anAppInst({
    spec,
    status: {
      placement: { cloudlet: 'edge1', sequence: 4 },
      conditions: [aCondition('Ready', 'True', 'Ready')],
      ...status,
    },
  });
const rollout = { revision: 'web-1', sequence: 4, generation: 1, startedAt: ago(5) };
const reported = (placement: number) => ({ uid: '', boot: '', sequence: 1, placement });

test('a plan that a connected site did not take in time is a problem, one that is ahead a warning', () => {
  const objects = (appInst: AppInst) => ({
    objects: { AppInst: [appInst], CloudletLedger: [aLedger({})] },
  });
  const cloudlet = aCloudlet();
  assert.deepEqual(site(cloudlet, objects(placed({ rollout, site: reported(4) }))), []);
  assert.deepEqual(site(cloudlet, objects(placed({ rollout, site: reported(3) }))), [
    'Problem PlanNotTaken: AppInst shop/web',
  ]);
  const fresh = { ...rollout, startedAt: ago(1) };
  assert.deepEqual(site(cloudlet, objects(placed({ rollout: fresh, site: reported(3) }))), []);
  assert.deepEqual(site(cloudlet, objects(placed({ rollout, site: reported(5) }))), [
    'Warning SiteAhead: AppInst shop/web',
  ]);
  const none = {
    objects: { AppInst: [placed({ rollout, site: reported(4) })], CloudletLedger: [] },
  };
  assert.deepEqual(site(cloudlet, none), ['Problem LedgerMissing: Cloudlet edge1']);
});

test('an entry whose AppInst is no more is told, with the object that takes it away', () => {
  const entry = { id: 'e1f2-0000-1111-2222', namespace: 'shop', name: 'web', sequence: 3 };
  const objects = { AppInst: [], CloudletLedger: [aLedger({ entries: [entry] })] };
  const [finding] = findingsOf(siteResults(aCloudlet(), { objects }));
  assert.equal(finding?.reason, 'EntryWithoutAppInst');
  assert.match(finding.message, /e1f2-0000-1111-2222 for AppInst shop\/web/);
  const [, text = ''] = /echo '(.*)' \| kubectl create -f - && /.exec(finding.remedy) ?? [];
  const object = JSON.parse(text) as AppInst;
  assert.deepEqual(mistakesOf(object), []);
  assert.equal(object.metadata.annotations?.['edge.cloudlet.dev/instance-id'], entry.id);
  assert.equal(object.metadata.namespace, 'default', 'its namespace is gone too');
  assert.match(
    finding.remedy,
    new RegExp(`kubectl delete appinst ${object.metadata.name} -n default`),
  );
  const kept = aLedger({ entries: [{ ...entry, id: offId }] });
  const known = { AppInst: [off], CloudletLedger: [kept] };
  assert.deepEqual(told(siteResults(aCloudlet(), { objects: known })), []);
});

test('removals that nobody confirms are told with the way out for a site that is gone', () => {
  const tombstone = { id: 't', sequence: 2, reason: 'Deleted' as const, since: ago(30) };
  const objects = { CloudletLedger: [aLedger({ tombstones: [tombstone] })] };
  const [finding] = findingsOf(siteResults(aCloudlet(), { objects }));
  assert.equal(finding?.reason, 'RemovalWaits');
  const away = aCloudlet({
    status: { conditions: [aCondition('Connected', 'False', 'SiteUnreachable')] },
  });
  const remedies = findingsOf(siteResults(away, { objects })).map(({ remedy }) => remedy);
  assert.ok(remedies.some((remedy) => remedy.includes('edge.cloudlet.dev/abandon=true')));
});
