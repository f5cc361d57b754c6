/** Whether the installation is whole: kinds, the access API, policies, flow control. Pure. */
import { apiGroup, apiVersion, kinds } from '@cloudlet/crds';
import { manifestOf } from '@cloudlet/crds/manifest';
import {
  accessApiService,
  flowControlManifests,
  policyManifests,
  wallManifests,
} from '@cloudlet/operator/install';
import { type Finding, problem, warning } from './finding.ts';
import type { Crd, RegionView } from './view.ts';

const applyChart = "Apply the chart of the region's version again: 'helm upgrade'.";

export function kindsCheck({ crds }: RegionView): readonly Finding[] {
  if (!crds) return [];
  return kinds.flatMap((kind) => {
    const name = `${kind.plural}.${apiGroup}`;
    const object = `CustomResourceDefinition ${name}`;
    const crd = crds.get(name);
    if (!crd)
      return [problem('NotInstalled', object, `Kind ${kind.kind} is not installed.`, applyChart)];
    const version = crd.spec.versions.find((one) => one.name === apiVersion);
    if (!version?.served)
      return [
        problem('NotServed', object, `${apiVersion} of ${kind.kind} is not served.`, applyChart),
      ];
    const isEstablished = crd.status?.conditions?.some(
      ({ type, status }) => type === 'Established' && status === 'True',
    );
    if (!isEstablished)
      return [
        problem(
          'NotEstablished',
          object,
          `The API server has not taken ${kind.kind} on yet.`,
          `'kubectl describe crd ${name}' says why.`,
        ),
      ];
    return olderSchema(object, crd, manifestOf(kind));
  });
}

/** A field that the CRD lacks is dropped in silence, so what needs it does nothing. */
function olderSchema(object: string, served: Crd, own: object): readonly Finding[] {
  const have = fieldsOf(served);
  const missing = [...fieldsOf(own as Crd)].filter((field) => !have.has(field));
  if (missing.length === 0) return [];
  const few = missing.slice(0, 3).join(', ');
  return [
    warning(
      'OlderSchema',
      object,
      `It lacks ${missing.length} fields that this plugin knows, such as ${few}: the API server drops them.`,
      "Upgrade the region's CRDs, or use the plugin of the region's version.",
    ),
  ];
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

function fieldsOf({ spec }: Crd): ReadonlySet<string> {
  const fields = new Set<string>();
  const walk = (schema: Schema | undefined, path: string): void => {
    for (const [name, inner] of Object.entries(schema?.properties ?? {})) {
      const field = path === '' ? name : `${path}.${name}`;
      if (name === 'metadata' && path === '') continue;
      fields.add(field);
      walk(inner, field);
    }
    if (schema?.items) walk(schema.items, `${path}[]`);
    const more = schema?.additionalProperties;
    if (typeof more === 'object') walk(more, `${path}{}`);
  };
  const version = spec.versions.find(({ name }) => name === apiVersion);
  walk(version?.schema?.openAPIV3Schema as Schema | undefined, '');
  return fields;
}

export function accessCheck({ apiService }: RegionView): readonly Finding[] {
  if (apiService === undefined) return [];
  const object = `APIService ${accessApiService}`;
  if (apiService === 'Absent')
    return [
      problem(
        'NotInstalled',
        object,
        'There is no access API: exec, logs and shell do not work.',
        applyChart,
      ),
    ];
  const available = apiService.status?.conditions?.find(({ type }) => type === 'Available');
  if (available?.status === 'True') return [];
  return [
    problem(
      available?.reason ?? 'NotAvailable',
      object,
      `The access API does not answer: ${available?.message ?? 'the API server has not asked it yet'}.`,
      "'kubectl -n cloudlet-system logs deployment/cloudlet-access' and its Service; until the region has its authority it waits for the operator.",
      available?.lastTransitionTime,
    ),
  ];
}

export function policiesCheck(view: RegionView): readonly Finding[] {
  const wanted = [...wallManifests(), ...policyManifests()];
  return missingOf(
    view,
    wanted,
    'Without it a stolen site or a tenant may write what is not theirs.',
  );
}

export function flowControlCheck(view: RegionView): readonly Finding[] {
  return missingOf(
    view,
    flowControlManifests(),
    "Without it a flood of reports may hold up Leases; intended where the chart's flowControl.enabled is false.",
    warning,
  );
}

function missingOf(
  { installed }: RegionView,
  wanted: readonly { readonly kind: string; readonly metadata: { readonly name: string } }[],
  consequence: string,
  judge: typeof problem = problem,
): readonly Finding[] {
  return wanted.flatMap(({ kind, metadata: { name } }) => {
    const there = installed.get(kind);
    if (!there || there.has(name)) return [];
    return [
      judge('NotInstalled', `${kind} ${name}`, `It is not there. ${consequence}`, applyChart),
    ];
  });
}
