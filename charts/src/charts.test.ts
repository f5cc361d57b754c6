import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { agentValues } from './agent-values.ts';
import { alerts } from './alerts.ts';
import { recordings } from './recordings.ts';
import { dashboardQueries } from './dashboard.ts';
import { staleFiles } from './generate.ts';
import { operatorValues } from './operator-values.ts';
import { flag, section, text, valuesSchema, valuesTable, valuesYaml } from './values.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

test('the generated files of the charts are what the sources give', async () => {
  assert.deepEqual(await staleFiles(), []);
});

test('one declaration gives values, schema and table', () => {
  const values = section('Values.', {
    hub: section('The hub.', { host: text('Its name.'), open: flag('Whether it is open.', true) }),
  });
  assert.equal(
    valuesYaml(values),
    '# Values.\n# The hub.\nhub:\n  # Its name.\n  host: ""\n  # Whether it is open.\n  open: true\n',
  );
  const schema = JSON.parse(valuesSchema(values)) as {
    properties: { hub: { additionalProperties: boolean; properties: object } };
  };
  assert.equal(schema.properties.hub.additionalProperties, false);
  assert.deepEqual(Object.keys(schema.properties.hub.properties), ['host', 'open']);
  assert.match(valuesTable(values), /\| `hub\.open` \| `true` \| Whether it is open\. \|/);
});

/** Paths of values that a chart has, sections included. */
function pathsOf(values: typeof operatorValues, prefix = ''): string[] {
  return Object.entries(values.fields).flatMap(([name, entry]) => [
    `${prefix}${name}`,
    ...(entry.kind === 'section' ? pathsOf(entry, `${prefix}${name}.`) : []),
  ]);
}

for (const [chart, values] of [
  ['cloudlet-operator', operatorValues],
  ['cloudlet-agent', agentValues],
] as const) {
  const templates = globSync(`charts/${chart}/templates/**/*.{yaml,tpl,txt}`, { cwd: root })
    .map(read)
    .join('\n');

  test(`${chart}: every value that a template names is declared`, () => {
    const known = new Set(pathsOf(values));
    const named = [...templates.matchAll(/\.Values\.([\w.]+)/g)].map(([, path]) => path ?? '');
    assert.ok(named.length > 20);
    assert.deepEqual(
      named.filter((path) => !known.has(path)),
      [],
    );
  });

  test(`${chart}: every value that is declared acts in a template`, () => {
    const unused = pathsOf(values).filter((path) => {
      const last = path.split('.').at(-1) ?? '';
      return !new RegExp(`\\.${last}\\b`).test(templates);
    });
    assert.deepEqual(unused, []);
  });

  test(`${chart}: the chart, its app and the product have one version`, () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const meta = parse(read(`charts/${chart}/Chart.yaml`)) as Record<string, string>;
    assert.deepEqual([meta['version'], meta['appVersion']], [version, version]);
  });
}

test('every alert has a section in the runbooks, in the same order', () => {
  const sections = [...read('docs/runbooks.md').matchAll(/^## (.+)$/gm)].map(([, name]) => name);
  assert.deepEqual(
    sections,
    alerts.map(({ name }) => name),
  );
});

/** Names in an expression that are metrics: not functions, labels or keywords. */
function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, '')
    .replaceAll(/\[[^\]]*\]/g, '');
  return [...bare.matchAll(/\b([a-z][a-z_]*_[a-z_]+|up)\b(?!\s*\()/g)].map(
    ([, name]) => name ?? '',
  );
}

/** Prometheus' own, and the kubelet's. */
const foreign = new Set(['up', 'container_memory_working_set_bytes']);

test('alerts and dashboard ask for metrics that the processes register', () => {
  const sources = globSync('{operator,runtime}/src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('.test.ts'))
    .map(read)
    .join('\n')
    .replaceAll('${prefix}_', 'controller_runtime_')
    .replaceAll(/count\(\s*'/g, "count('controller_runtime_");
  const expressions = [...alerts, ...recordings].map(({ expr }) => expr);
  const asked = [...expressions, ...dashboardQueries].flatMap(metricsIn);
  assert.ok(asked.length > 30);
  const unknown = [...new Set(asked)].filter(
    (name) =>
      !foreign.has(name) &&
      !new RegExp(`['"\`]${name.replace(/_bucket$/, '')}['"\`]`).test(sources),
  );
  assert.deepEqual(unknown, []);
});

test('labels that alerts select by are of that metric', () => {
  const sources = globSync('operator/src/**/*.ts', { cwd: root }).map(read).join('\n');
  for (const { name, expr } of [...alerts, ...recordings])
    for (const [, metric = '', label = ''] of expr.matchAll(/(edge_\w+)\{(\w+)/g)) {
      const declared = sources.indexOf(`'${metric}'`);
      const around = sources.slice(declared, declared + 500);
      const gauge = sources.includes(`readyGauge(registry, '${metric}'`) && label === 'ready';
      assert.ok(gauge || around.includes(`'${label}'`), `${name}: ${metric} has no label ${label}`);
    }
});
