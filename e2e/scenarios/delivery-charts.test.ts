/**
 * The charts as Helm renders them: with every file of `ci/`, against the schemas of three minor versions of
 * Kubernetes and of those whose objects they make, and no wider than what the code declares.
 */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { before, test } from 'node:test';
import { describeError } from '@cloudlet/runtime/base';
import { parseAllDocuments } from 'yaml';
import { alerts, dashboardQueries, recordings } from '@cloudlet/charts';
import { repositoryRoot } from '../testbed/index.ts';
import { promqlMistakes } from '../testbed/promql/promql.ts';
import { type Helm, helmOf, helmUnavailable } from '../testbed/helm/helm.ts';
import { foreignCrds, kubernetesModules } from '../testbed/helm/foreign.ts';
import {
  type Manifested,
  type SchemaSet,
  moduleFolder,
  schemasOf,
} from '../testbed/helm/schemas.ts';

const charts = ['cloudlet-operator', 'cloudlet-agent'] as const;
const chartPath = (chart: string): string => join(repositoryRoot, 'charts', chart);
const cases = charts.flatMap((chart) =>
  readdirSync(join(chartPath(chart), 'ci')).map((file) => ({
    chart,
    values: join(chartPath(chart), 'ci', file),
    name: `${chart} with ${basename(file, '-values.yaml')} values`,
  })),
);

const skip = helmUnavailable() ?? false;
let helm: Helm;
before(async () => {
  if (!skip) helm = await helmOf();
});

const parsed = (text: string): Manifested[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifested | null)
    .filter((object) => object !== null);

async function render(chart: string, values: string, ...more: string[]): Promise<Manifested[]> {
  const args = ['template', 'region', chartPath(chart), '--namespace', 'default', '-f', values];
  return parsed(await helm([...args, ...more]));
}

for (const { chart, values, name } of cases)
  test(`${name} passes helm lint`, { skip }, async () => {
    await helm(['lint', '--strict', chartPath(chart), '-f', values]);
  });

const minors = Object.keys(kubernetesModules);
const schemas = new Map<string, SchemaSet>();
let withoutSchemas: string | undefined;
before(async () => {
  try {
    const foreign = await foreignCrds();
    for (const [minor, module] of Object.entries(kubernetesModules))
      schemas.set(minor, schemasOf(await moduleFolder(module), foreign));
  } catch (error) {
    withoutSchemas = `the schemas cannot be downloaded: ${describeError(error)}`;
  }
});

for (const { chart, values, name } of cases)
  test(`${name} fits Kubernetes ${minors.join(', ')}`, { skip }, async (t) => {
    if (withoutSchemas !== undefined) return t.skip(withoutSchemas);
    const objects = await render(chart, values);
    assert.ok(objects.length >= 5);
    const mistakes = [...schemas].flatMap(([minor, set]) =>
      objects.flatMap((object) =>
        set
          .check(object)
          .map((mistake) => `${minor}: ${object.kind} ${object.metadata.name}: ${mistake}`),
      ),
    );
    assert.deepEqual(mistakes, []);
  });

test('the policy that only 1.36 knows fits it', { skip }, async (t) => {
  if (withoutSchemas !== undefined) return t.skip(withoutSchemas);
  const values = join(chartPath('cloudlet-operator'), 'ci', 'default-values.yaml');
  const objects = await render('cloudlet-operator', values, ...mutating);
  const own = objects.filter(({ kind }) => kind.startsWith('MutatingAdmissionPolicy'));
  assert.equal(own.length, 2);
  assert.deepEqual(
    own.flatMap((object) => schemas.get('1.36')?.check(object)),
    [],
  );
});

test('the check against schemas finds what is wrong', { skip }, (t) => {
  if (withoutSchemas !== undefined) return t.skip(withoutSchemas);
  const meta = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a' } };
  const wrong = {
    ...meta,
    spec: {
      replicas: 'two',
      selector: {},
      template: { spec: { containers: [{ image: 'a', imagePullpolicy: 'Always' }] } },
    },
  };
  for (const set of schemas.values()) {
    const found = set.check(wrong).join('\n');
    assert.match(found, /\.spec\.replicas: string, not integer/);
    assert.match(found, /containers\[0\]\.name: is missing/);
    assert.match(found, /imagePullpolicy: no such field/);
    assert.deepEqual(set.check({ ...meta, kind: 'Deploy' }), ['no schema of apps/v1 Deploy']);
  }
  const route = { apiVersion: 'gateway.networking.k8s.io/v1alpha2', kind: 'TLSRoute' };
  const spec = { rules: [{ backendRefs: [{ nam: 'a' }] }] };
  const told = schemas
    .get('1.36')
    ?.check({ ...route, metadata: { name: 'a' }, spec } as Manifested);
  assert.match(told?.join('\n') ?? '', /backendRefs\[0\]\.name: is missing/);
});

test(
  'Prometheus takes every expression of alerts, recordings and the dashboard',
  { skip },
  async () => {
    const ours = [...[...alerts, ...recordings].map(({ expr }) => expr), ...dashboardQueries];
    assert.deepEqual(await promqlMistakes(ours), []);
    const [told] = await promqlMistakes(['sum by (rate(up[5m]))']);
    assert.match(told ?? '', /parse error/);
  },
);

/** Without what Helm's labels add; a list of labels that is empty is none. */
function bare(object: Manifested): object {
  const {
    labels = {},
    annotations = {},
    ...metadata
  } = object.metadata as Manifested['metadata'] & {
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  const helms = /^(helm\.sh\/|app\.kubernetes\.io\/(instance|version|managed-by)$)/;
  const own = (all: Record<string, string>): Record<string, string> =>
    Object.fromEntries(Object.entries(all).filter(([name]) => !helms.test(name)));
  return {
    ...object,
    metadata: { ...metadata, labels: own(labels), annotations: own(annotations) },
  };
}

const keyOf = ({ kind, metadata }: Manifested): string =>
  `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

/** The objects of files of the repository by kind and name; of two alike the later takes the place. */
function declaredIn(...patterns: string[]): Map<string, Manifested> {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: repositoryRoot }).sort());
  const objects = files.flatMap((file) => parsed(readFileSync(join(repositoryRoot, file), 'utf8')));
  return new Map(objects.map((object) => [keyOf(object), object]));
}

const plain = ['crds/manifests/*.yaml', 'operator/manifests/*.yaml'];
const onTop = ['constrained', 'mutating'].map((folder) => `operator/manifests/${folder}/*.yaml`);
/** What Helm learns of a cluster of 1.36. */
const mutating = ['--api-versions', 'admissionregistration.k8s.io/v1/MutatingAdmissionPolicy'];
for (const [file, declared, capabilities] of [
  ['default-values.yaml', declaredIn(...plain), []],
  ['everything-values.yaml', declaredIn(...plain, ...onTop), mutating],
] as const)
  test(
    `with ${file} the chart grants what the manifests do, no more and no less`,
    { skip },
    async () => {
      const values = join(chartPath('cloudlet-operator'), 'ci', file);
      const objects = await render('cloudlet-operator', values, ...capabilities);
      const rendered = new Map(objects.map((each) => [keyOf(each), each]));
      for (const [key, object] of declared) {
        const found = rendered.get(key);
        assert.ok(found, `the chart lacks ${key}`);
        assert.deepEqual(bare(found), bare(object), key);
      }
      const rights = /^(ClusterRole|Role|ClusterRoleBinding|RoleBinding|(Valid|Mut)atingAdmission)/;
      assert.deepEqual(
        [...rendered.keys()].filter((key) => rights.test(key) && !declared.has(key)),
        [],
      );
    },
  );

test(
  'kinds and namespaces stay on an uninstall unless the values say otherwise',
  { skip },
  async () => {
    const keeps = async (file: string): Promise<Set<string>> => {
      const objects = await render(
        'cloudlet-operator',
        join(chartPath('cloudlet-operator'), 'ci', file),
      );
      const kept = objects.filter(
        ({ metadata }) =>
          (metadata as { annotations?: Record<string, string> }).annotations?.[
            'helm.sh/resource-policy'
          ] === 'keep',
      );
      return new Set(kept.map(({ kind }) => kind));
    };
    assert.deepEqual(
      await keeps('default-values.yaml'),
      new Set(['Namespace', 'CustomResourceDefinition']),
    );
    assert.deepEqual(await keeps('least-values.yaml'), new Set());
  },
);

const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a value that does not exist', ['--set', 'hub.hots=a'], /hots/],
  ['a port that is none', ['--set', 'hub.port=70000'], /70000|maximum|less than/],
  ['a digest that is none', ['--set', 'image.digest=latest'], /digest/],
  ['two ports of one Service that are the same', ['--set', 'hub.port=8444'], /must differ/],
  ['a Gateway without a listener', ['--set', 'gateway.enabled=true'], /gateway\.parentRefs/],
  [
    'a Gateway with one name for two ways in',
    ['--set', 'gateway.enabled=true,hub.host=a.example,gateway.parentRefs[0].name=edge'],
    /enroll\.host/,
  ],
];
for (const [what, args, message] of refused)
  test(`${what} is refused with a sentence that names it`, { skip }, async () => {
    const install = ['template', 'region', chartPath('cloudlet-operator'), ...args];
    await assert.rejects(helm(install), (error) => {
      assert.match(describeError(error), message);
      return true;
    });
  });
