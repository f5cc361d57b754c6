import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst } from '@cloudlet/crds';
import { aCloudlet, aCondition, anAppInst } from '@cloudlet/operator/testing';
import { examineRegion } from './examine.ts';
import { ago, aLease, aView, crds, findingsOf, installed, now, region } from './testing.ts';
import { diagnosisJson, diagnosisText } from './text.ts';

test('a region in which all is well has no findings, and every check is named as ok', () => {
  const results = examineRegion(aView());
  assert.deepEqual(findingsOf(results), []);
  const text = diagnosisText({ results, now, denied: [] });
  assert.match(text, /^ok: clock of this machine, kinds, operator, hubs, access API, pods, /);
  assert.match(text, /0 problems, 0 warnings\n$/);
});

test('kinds that are not installed, not served or of an older schema are told one by one', () => {
  const [first, second, third] = [...crds.keys()];
  const changed = new Map(crds);
  changed.delete(first ?? '');
  const served = changed.get(second ?? '');
  const old = changed.get(third ?? '');
  assert.ok(served && old);
  const versions = served.spec.versions.map((version) => ({ ...version, served: false }));
  changed.set(second ?? '', { ...served, spec: { versions } });
  const bare = old.spec.versions.map((version) => ({
    ...version,
    schema: { openAPIV3Schema: { properties: { spec: { type: 'object' } } } },
  }));
  changed.set(third ?? '', { ...old, spec: { versions: bare } });
  assert.deepEqual(region({ crds: changed }), [
    `Problem NotInstalled: CustomResourceDefinition ${first}`,
    `Problem NotServed: CustomResourceDefinition ${second}`,
    `Warning OlderSchema: CustomResourceDefinition ${third}`,
  ]);
});

test('an operator whose Lease has ended, and hubs that are gone, are problems with their time', () => {
  const leases = [aLease('cloudlet-operator', 90), aLease('hub-a', 120)];
  const findings = findingsOf(examineRegion(aView({ leases })));
  assert.deepEqual(
    findings.map(({ reason, since }) => [reason, since]),
    [
      ['NoLeader', '2026-02-01T11:59:00Z'],
      ['NoHub', undefined],
    ],
  );
});

test('a hub that ended badly is a warning while another lives, and none when it gave its Lease back', () => {
  const leader = aLease('cloudlet-operator', 2);
  assert.deepEqual(region({ leases: [leader, aLease('hub-a', 5), aLease('hub-b', 300)] }), [
    'Warning HubGone: Lease cloudlet-system/hub-b',
  ]);
  assert.deepEqual(region({ leases: [leader, aLease('hub-a', 5), aLease('hub-b', 300, '')] }), []);
});

test('policies that are missing are problems, flow control that is off is a warning', () => {
  const without = new Map(installed);
  without.set('ValidatingAdmissionPolicy', new Set());
  without.set('FlowSchema', new Set());
  const [...lines] = region({ installed: without });
  assert.ok(
    lines.includes('Problem NotInstalled: ValidatingAdmissionPolicy cloudlet-use-appinsts'),
  );
  assert.ok(lines.includes('Warning NotInstalled: FlowSchema cloudlet-leases'));
});

test('what may not be read is named, is no problem and never ok', () => {
  const results = examineRegion(
    aView({
      ...{ crds: undefined, apiService: undefined, installed: new Map(), leases: undefined },
      ...{ pods: undefined, certificates: undefined },
      objects: {},
    }),
  );
  assert.deepEqual(
    new Set(findingsOf(results).map(({ severity }) => severity)),
    new Set(['Unknown']),
  );
  const denied = ['list leases in cloudlet-system'];
  const text = diagnosisText({ results, now, denied });
  assert.match(
    text,
    /^UNKNOWN {2}kinds, operator, hubs, .*\n {4}You may not list leases in cloudlet-system/,
  );
  assert.match(text, /^ok: clock of this machine$/m);
  const { problems, unknown } = JSON.parse(diagnosisJson({ results, now, denied })) as {
    problems: number;
    unknown: number;
  };
  assert.equal(problems, 0);
  assert.ok(unknown >= 9);
});

test('certificates, the access API, the own clock and pods are judged', () => {
  assert.deepEqual(
    region({
      skewMs: -120_000,
      apiService: 'Absent',
      certificates: [
        { secret: 'cloudlet-hub-tls', notAfter: now - 1, authorityNotAfter: now + 86_400_000 },
        { absent: 'cloudlet-access-tls' },
      ],
      pods: [
        {
          metadata: { name: 'cloudlet-hub-x', creationTimestamp: ago(60) },
          status: {
            phase: 'Running',
            conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: ago(10) }],
            containerStatuses: [
              { restartCount: 7, state: { waiting: { reason: 'CrashLoopBackOff' } } },
            ],
          },
        },
      ],
    }),
    [
      'Warning ClockWrong: This machine',
      'Problem NotInstalled: APIService v1alpha1.access.edge.cloudlet.dev',
      'Problem CrashLoopBackOff: Pod cloudlet-system/cloudlet-hub-x',
      'Problem Expired: Secret cloudlet-system/cloudlet-hub-tls',
      'Warning ExpiresSoon: Secret cloudlet-system/cloudlet-hub-tls',
      'Problem NoCertificate: Secret cloudlet-system/cloudlet-access-tls',
    ],
  );
});

test('agents, hubs and a plugin of another version are told apart', () => {
  const older = aCloudlet({
    status: { site: { uid: '', boot: '', sequence: 1, version: '0.9.0' } },
  });
  assert.deepEqual(
    region({ pluginVersion: '0.8.0', objects: { Cloudlet: [older], AppInst: [] } }),
    ['Warning VersionSkew: Cloudlet edge1', 'Warning VersionSkew: kubectl-cloudlet'],
  );
  const leader = aLease('cloudlet-operator', 2);
  const two = [aLease('hub-a', 5), aLease('hub-b', 5, 'somebody', '1.1.0')];
  assert.deepEqual(region({ leases: [leader, ...two] }), ['Warning VersionSkew: Hubs']);
});

test('instances that are not Ready are told, those on their way or switched off are not', () => {
  const instance = (
    name: string,
    reason: string,
    since: string,
    spec: Partial<AppInst['spec']> = {},
  ) =>
    anAppInst({
      name,
      spec,
      status: {
        conditions: [{ ...aCondition('Ready', 'False', reason), lastTransitionTime: since }],
      },
    });
  assert.deepEqual(
    region({
      objects: {
        AppInst: [
          instance('a', 'ImageNotFound', ago(1)),
          instance('b', 'Progressing', ago(1)),
          instance('c', 'Progressing', ago(9)),
          instance('d', 'PoweredOff', ago(9), { powerState: 'Off' }),
          instance('e', 'Suspended', ago(9), { suspend: true }),
          anAppInst({ name: 'f', metadata: { namespace: 'shop', deletionTimestamp: ago(20) } }),
        ],
      },
    }),
    [
      'Unknown NotAllowed: sites',
      'Problem ImageNotFound: AppInst shop/a',
      'Problem Progressing: AppInst shop/c',
      'Problem DeletionStuck: AppInst shop/f',
    ],
  );
});

test('many of the same are told once, with a few of them in full', () => {
  const AppInst = Array.from({ length: 15 }, (_, index) =>
    anAppInst({
      name: `web-${index}`,
      status: { conditions: [aCondition('Ready', 'False', 'ImageNotFound', `no image ${index}`)] },
    }),
  );
  const results = examineRegion(aView({ objects: { AppInst, Cloudlet: [] } }));
  const lines = diagnosisText({ results, now, denied: [] }).split('\n');
  assert.equal(lines[0], 'PROBLEM  ImageNotFound  15 times');
  assert.match(lines[1] ?? '', /^ {4}AppInst shop\/web-0: no image 0 \(for 31d\)$/);
  assert.match(lines[4] ?? '', /^ {4}and AppInst shop\/web-3, .*, and 2 more$/);
  assert.match(lines[5] ?? '', /^ {4}=> Mend spec\.image/);
  assert.equal(lines.at(-2), '15 problems, 0 warnings');
});
