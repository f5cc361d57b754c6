import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LedgerEntry } from '@cloudlet/crds';
import { aCloudlet, aCluster, aCondition, anEntry } from '../builders.ts';
import { refusalsOf } from './filters.ts';
import { decidePlacement, explainPlacement } from './place.ts';
import type { PlacementRequest, SiteView } from './site.ts';

const request = (more: Partial<PlacementRequest> = {}): PlacementRequest => ({
  id: 'id-web',
  namespace: 'shop',
  deployment: 'Docker',
  ports: [],
  replicas: 1,
  isNamed: false,
  ...more,
});
const site = (more: Partial<SiteView> = {}): SiteView => ({
  cloudlet: aCloudlet(),
  ledger: undefined,
  isHere: false,
  sameApp: 0,
  ...more,
});
const named = (name: string, more: Partial<SiteView> = {}): SiteView =>
  site({ cloudlet: aCloudlet({ name }), ...more });
const ledger = (...entries: LedgerEntry[]) => ({ cloudletId: 'x', sequence: 9, entries });
const capacity = (cpuMillis: number, memoryBytes = 2 ** 30) =>
  aCloudlet({
    status: {
      conditions: aCloudlet().status?.conditions,
      site: {
        uid: 'u',
        boot: 'b',
        sequence: 1,
        capacity: { cpuMillis, memoryBytes },
        architectures: ['linux/arm/v7'],
      },
    },
  });
const big = { resources: { cpuMillis: 500, memoryBytes: 2 ** 28 } };

const cases: readonly (readonly [
  string,
  Partial<PlacementRequest>,
  SiteView,
  string | undefined,
])[] = [
  ['takes what asks for nothing', {}, site(), undefined],
  [
    'is being deleted',
    {},
    site({ cloudlet: aCloudlet({ metadata: { deletionTimestamp: 'now' } }) }),
    'is being deleted',
  ],
  [
    'is revoked',
    {},
    site({ cloudlet: aCloudlet({ spec: { revoked: true } }) }),
    'is cut off by its operator',
  ],
  [
    'drains',
    {},
    site({ cloudlet: aCloudlet({ spec: { maintenance: 'Drain' } }) }),
    'is in maintenance and takes no new instances',
  ],
  [
    'drains and has the instance',
    {},
    site({ cloudlet: aCloudlet({ spec: { maintenance: 'Drain' } }), isHere: true }),
    undefined,
  ],
  [
    'is lost',
    {},
    site({ cloudlet: aCloudlet({ status: { conditions: [] } }) }),
    'is not connected',
  ],
  [
    'is lost and was named',
    { isNamed: true },
    site({ cloudlet: aCloudlet({ status: { conditions: [] } }) }),
    undefined,
  ],
  [
    'is lost and has the instance',
    {},
    site({ cloudlet: aCloudlet({ status: { conditions: [] } }), isHere: true }),
    undefined,
  ],
  [
    'cannot be seen because of the hubs',
    {},
    site({
      cloudlet: aCloudlet({
        status: {
          conditions: [
            aCondition('Connected', 'Unknown', 'HubUnavailable'),
            aCondition('PlatformReady', 'True', 'Serving'),
          ],
        },
      }),
    }),
    'cannot be seen at present',
  ],
  [
    'has a platform in trouble',
    {},
    site({
      cloudlet: aCloudlet({
        status: {
          conditions: [
            aCondition('Connected', 'True', 'Connected'),
            aCondition('PlatformReady', 'False', 'EngineUnreachable'),
          ],
        },
      }),
    }),
    'has a platform that is not ready',
  ],
  [
    'has no node of the architecture',
    { architectures: ['linux/amd64'] },
    site({ cloudlet: capacity(1000) }),
    'has no node for linux/amd64',
  ],
  [
    'has a node of one architecture',
    { architectures: ['linux/amd64', 'linux/arm/v7'] },
    site({ cloudlet: capacity(1000) }),
    undefined,
  ],
  ['has not said what it has', { architectures: ['linux/amd64'], ...big }, site(), undefined],
  ['has just enough', big, site({ cloudlet: capacity(500) }), undefined],
  [
    'has not enough CPUs beside others',
    big,
    site({ cloudlet: capacity(900), ledger: ledger(anEntry({ cpuMillis: 500 })) }),
    'has not 0.5 CPUs to give',
  ],
  [
    'has enough when its own share is not counted twice',
    big,
    site({
      cloudlet: capacity(900),
      isHere: true,
      ledger: ledger(anEntry({ id: 'id-web', cpuMillis: 500 })),
    }),
    undefined,
  ],
  [
    'has not enough for all replicas',
    { ...big, replicas: 5 },
    site({ cloudlet: capacity(2000) }),
    'has not 2.5 CPUs and 1.3Gi of memory to give',
  ],
  [
    'is over its quota',
    big,
    site({
      cloudlet: aCloudlet({ spec: { resourceQuotas: [{ name: 'memory', value: '100Mi' }] } }),
    }),
    'has not 256Mi of memory to give',
  ],
  [
    'has as many instances as it may',
    {},
    site({
      cloudlet: aCloudlet({ spec: { resourceQuotas: [{ name: 'instances', value: '1' }] } }),
      ledger: ledger(anEntry()),
    }),
    'has as many instances as it may',
  ],
  [
    'is of another tenant',
    {},
    site({ cluster: aCluster({ metadata: { namespace: 'other' } }) }),
    'is a Cluster that does not allow namespace shop',
  ],
  [
    'is of another tenant that allows it',
    {},
    site({
      cluster: aCluster({
        metadata: { namespace: 'other' },
        spec: { multiTenant: true, allowedNamespaces: ['shop'] },
      }),
    }),
    undefined,
  ],
  [
    'is a full part of a site',
    big,
    site({
      cluster: aCluster({ spec: { resources: { vcpus: '900m' } } }),
      ledger: ledger(anEntry({ cluster: 'shop/part', cpuMillis: 500 })),
    }),
    'has not 0.5 CPUs to give',
  ],
  [
    'has no port left',
    { ports: [{ name: 'http', protocol: 'TCP', port: 22 }] },
    site({
      cloudlet: aCloudlet({ spec: { loadBalancer: { portRange: { first: 22, last: 22 } } } }),
    }),
    "has no port left for 'http'",
  ],
];
for (const [title, wanted, view, message] of cases)
  test(`a site that ${title}: ${message ?? 'takes it'}`, () => {
    assert.deepEqual(
      refusalsOf(request(wanted), view).map((refusal) => refusal.message),
      message === undefined ? [] : [message],
    );
  });

test('no reason names a site', () => {
  for (const [, wanted, view] of cases)
    for (const { message } of refusalsOf(request(wanted), view))
      assert.ok(!message.includes(view.cloudlet.metadata.name), message);
});

const chosen = (sites: readonly SiteView[], more: Partial<PlacementRequest> = {}): string => {
  const decision = decidePlacement(request(more), sites);
  return decision.kind === 'Placed' ? decision.site.cloudlet.metadata.name : decision.message;
};

test('the order of the sites does not matter', () => {
  const sites = ['a', 'b', 'c', 'd'].map((name) => named(name));
  assert.equal(chosen(sites), chosen([...sites].reverse()));
});

test('equal sites share instances between them', () => {
  const sites = ['a', 'b', 'c'].map((name) => named(name));
  const names = Array.from({ length: 30 }, (_, index) => chosen(sites, { id: `i${index}` }));
  assert.equal(new Set(names).size, 3);
});

test('a site without the App is better than one with it', () => {
  assert.equal(chosen([named('a', { sameApp: 1 }), named('b')]), 'b');
});

test('a site where the port keeps its number is better than a larger one', () => {
  const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80 }];
  const busy = ledger(
    anEntry({ ports: [{ name: 'x', protocol: 'TCP', port: 80, publicPort: 80 }] }),
  );
  assert.equal(chosen([named('a', { ledger: busy }), named('b')], { ports }), 'b');
});

test('the site with the larger share left is better', () => {
  const with4 = { ...capacity(4000), metadata: aCloudlet({ name: 'a' }).metadata };
  const with8 = { ...capacity(8000), metadata: aCloudlet({ name: 'b' }).metadata };
  const used = ledger(anEntry({ cpuMillis: 2000 }));
  assert.equal(
    chosen([site({ cloudlet: with4, ledger: used }), site({ cloudlet: with8, ledger: used })]),
    'b',
  );
});

test('who is somewhere stays there though another site is better', () => {
  assert.equal(chosen([named('a', { isHere: true, sameApp: 5 }), named('b')]), 'a');
});

test('when nothing fits every reason is counted', () => {
  const lost = aCloudlet({ status: { conditions: [] } });
  const drained = aCloudlet({ spec: { maintenance: 'Drain' } });
  assert.equal(
    chosen([site({ cloudlet: lost }), site({ cloudlet: drained }), site({ cloudlet: lost })]),
    'none of 3 sites fits: is not connected (2 sites); is in maintenance and takes no new instances (1 site)',
  );
  assert.equal(chosen([site({ cloudlet: lost })]), 'the site is not connected');
  assert.equal(chosen([]), 'there is no site to choose from');
});

test('the explanation tells every site, the chosen one first, and all that stands against the others', () => {
  const lost = aCloudlet({ name: 'lost', status: { conditions: [] }, spec: { revoked: true } });
  const told = explainPlacement(request(), [
    site({ cloudlet: lost }),
    named('a', { sameApp: 1 }),
    named('b'),
  ]);
  assert.deepEqual(
    told.map(({ cloudlet, chosen: isChosen, refusals }) => [
      cloudlet,
      isChosen,
      refusals.map(({ filter }) => filter),
    ]),
    [
      ['b', true, []],
      ['a', false, []],
      ['lost', false, ['Revoked', 'Connection']],
    ],
  );
});
