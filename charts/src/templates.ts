/**
 * Templates of the chart cloudlet-operator that are made of what the code declares: the kinds, RBAC, policies.
 *
 * Guarantees: what Helm renders of them is what `operator/manifests` holds, but for labels and what values
 * switch off; text that looks like a template of Helm's comes out as it is.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { apiGroup, namespaces } from '@cloudlet/crds';
import {
  accessManifests,
  accessPort,
  accountOf,
  constrainedManifests,
  finalizerManifests,
  flowControlManifests,
  type Manifest,
  namespaceManifests,
  peopleManifests,
  policyManifests,
  rbacManifests,
  textOf,
  wallManifests,
} from '@cloudlet/operator/install';
import { parse } from 'yaml';
import { alerts } from './alerts.ts';
import { recordings } from './recordings.ts';

const labelsMark = 'cloudlet-labels';
const keepMark = 'cloudlet-keep';
/** What Kubernetes serves from 1.36 on. */
const mutatingApi = 'admissionregistration.k8s.io/v1/MutatingAdmissionPolicy';
const crdFolder = fileURLToPath(new URL('../../crds/manifests', import.meta.url));

export interface TemplateFile {
  readonly name: string;
  readonly content: string;
}

export function generatedTemplates(): readonly TemplateFile[] {
  const always = (name: string, manifests: readonly Manifest[]): TemplateFile => ({
    name,
    content: templateOf(manifests),
  });
  const when = (condition: string, name: string, manifests: readonly Manifest[]): TemplateFile => ({
    name,
    content: guarded(condition, templateOf(manifests)),
  });
  const isNamespace = ({ kind }: Manifest): boolean => kind === 'Namespace';
  const accounts = namespaceManifests().filter((each) => !isNamespace(each));
  return [
    { name: 'crds.yaml', content: guarded('.Values.crds.enabled', templateOf(crds().map(kept))) },
    { name: 'namespaces.yaml', content: namespacesTemplate() },
    always('accounts.yaml', accounts),
    { name: 'rbac.yaml', content: rbacTemplate() },
    when('.Values.roles.enabled', 'roles.yaml', peopleManifests()),
    always('wall.yaml', wallManifests()),
    always('policies.yaml', policyManifests()),
    when(`.Capabilities.APIVersions.Has "${mutatingApi}"`, 'finalizer.yaml', finalizerManifests()),
    when('.Values.flowControl.enabled', 'flow-control.yaml', flowControlManifests()),
    when(
      '.Values.access.enabled',
      'access-api.yaml',
      accessManifests({ kind: 'pods', targetPort: accessPort }),
    ),
    { name: 'prometheus-rule.yaml', content: alertsTemplate() },
  ];
}

const crds = (): readonly Manifest[] =>
  readdirSync(crdFolder)
    .sort()
    .map((file) => parse(readFileSync(`${crdFolder}/${file}`, 'utf8')) as Manifest);

const kept = (manifest: Manifest): Manifest => ({
  ...manifest,
  metadata: {
    ...manifest.metadata,
    annotations: { ...manifest.metadata.annotations, [keepMark]: '' },
  },
});

/** Who installs into the system namespace has made it already. */
function namespacesTemplate(): string {
  const all = namespaceManifests().filter(({ kind }) => kind === 'Namespace');
  const own = all.filter(({ metadata }) => metadata.name === namespaces.system);
  const others = all.filter(({ metadata }) => metadata.name !== namespaces.system);
  const system = guarded(`ne .Release.Namespace "${namespaces.system}"`, templateOf(own.map(kept)));
  return `${system}---\n${templateOf(others.map(kept))}`;
}

/** What constrained impersonation takes the place of is there without it. */
function rbacTemplate(): string {
  const keyOf = ({ kind, metadata }: Manifest): string =>
    `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
  const constrained = constrainedManifests();
  const replaced = new Set(constrained.map(keyOf));
  const isReplaced = (manifest: Manifest): boolean => replaced.has(keyOf(manifest));
  const all = rbacManifests();
  const always = templateOf(all.filter((each) => !isReplaced(each)));
  const plain = templateOf(all.filter(isReplaced));
  const either = `{{- if .Values.constrainedImpersonation.enabled }}\n${templateOf(constrained)}{{- else }}\n${plain}{{- end }}\n`;
  return `${always}---\n${either}`;
}

const guarded = (condition: string, content: string): string =>
  `{{- if ${condition} }}\n${content}{{- end }}\n`;

function templateOf(manifests: readonly Manifest[]): string {
  const marked = manifests.map((manifest) => ({
    ...manifest,
    metadata: {
      ...manifest.metadata,
      labels: { ...manifest.metadata.labels, [labelsMark]: '' },
    },
  }));
  const text = textOf(marked).replaceAll('{{', '{{ "{{" }}');
  return text
    .replaceAll(
      new RegExp(`^( *)${labelsMark}: ""$`, 'gm'),
      (_, indent: string) =>
        `${indent}{{- include "cloudlet.labels" . | nindent ${indent.length} }}`,
    )
    .replaceAll(
      new RegExp(`^( *)annotations:\\n( *)${keepMark}: ""$`, 'gm'),
      '$1{{- if .Values.crds.keep }}\n$1annotations:\n$2helm.sh/resource-policy: keep\n$1{{- end }}',
    );
}

function alertsTemplate(): string {
  const runbooks = '__RUNBOOKS__';
  const rule: Manifest = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: accountOf('operator'),
      namespace: namespaces.system,
      labels: { 'app.kubernetes.io/part-of': 'cloudlet-operator' },
    },
    spec: {
      groups: [
        {
          name: `${apiGroup}/recordings`,
          rules: recordings.map(({ name, expr }) => ({ record: name, expr })),
        },
        {
          name: apiGroup,
          rules: alerts.map(({ name, expr, severity, summary, for: lasting }) => ({
            alert: name,
            expr,
            for: lasting,
            labels: { severity },
            annotations: { summary, runbook_url: `${runbooks}#${name.toLowerCase()}` },
          })),
        },
      ],
    },
  };
  const labels = `{{- with .Values.monitoring.prometheusRule.labels }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}`;
  const text = templateOf([rule])
    .replaceAll(runbooks, '{{ $runbooks }}')
    .replace(/^( *\{\{- include "cloudlet\.labels".*)$/m, `$1\n    ${labels}`);
  const head = '{{- $runbooks := .Values.monitoring.prometheusRule.runbooks }}\n';
  return guarded('.Values.monitoring.prometheusRule.enabled', head + text);
}
