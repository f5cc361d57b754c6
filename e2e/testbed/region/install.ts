/** What has to be in the API server before the region's processes start: kinds, namespaces, rights, policies. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiGroup, apiVersion, finalizers, kinds } from '@cloudlet/crds';
import { parseAllDocuments } from 'yaml';
import type { ControlPlane } from '../controlplane/embedded.ts';
import { repositoryRoot } from '../host.ts';
import { expect, until } from '../process.ts';

const manifests = join(repositoryRoot, 'operator', 'manifests');
/** Applied where access runs as pods; here it is a process beside the API server. */
const podsOnly = '40-access.yaml';

/** Applies the CRDs and the operator's manifests, and waits until the API serves the kinds. */
export async function installRegion({ kubectl }: ControlPlane): Promise<void> {
  const apply = ['apply', '--server-side', '--force-conflicts'];
  await kubectl([...apply, '-f', join(repositoryRoot, 'crds', 'manifests')]);
  // In the order of names: roles and policies refer to namespaces of the first file.
  const files = readdirSync(manifests)
    .filter((name) => name.endsWith('.yaml') && name !== podsOnly)
    .sort();
  if (await servesMutating({ kubectl })) files.push('mutating');
  await kubectl([...apply, ...files.flatMap((name) => ['-f', join(manifests, name)])]);
  await kindsServed({ kubectl });
}

const instance = {
  apiVersion: `${apiGroup}/${apiVersion}`,
  kind: 'AppInst',
  metadata: { generateName: 'try-', namespace: 'default' },
  spec: { appRef: { name: 'none' }, cloudletRef: { name: 'none' } },
};

/**
 * Resolves when AppInsts get their finalizer as they are made, where the API server does that: it refuses them
 * for up to 5 s after the kind came, since it looks that often for the schema that a mutating policy needs.
 */
export async function finalizerInForce({ kubectl }: Pick<ControlPlane, 'kubectl'>): Promise<void> {
  if (!(await servesMutating({ kubectl }))) return;
  const dryRun = ['create', '--dry-run=server', '-o', 'json', '-f', '-'];
  await until('AppInsts to be made with their finalizer', 60_000, async (signal) => {
    const made = await kubectl(dryRun, { input: JSON.stringify(instance), signal });
    expect(made.includes(finalizers.appinst), 'it was made without');
  });
}

async function servesMutating({ kubectl }: Pick<ControlPlane, 'kubectl'>): Promise<boolean> {
  const served = await kubectl(['get', '--raw', '/apis/admissionregistration.k8s.io/v1']);
  return served.includes('"MutatingAdmissionPolicy"');
}

/** Resolves when every kind is served. (`kubectl wait` fails on a CRD that has no conditions yet.) */
export async function kindsServed({ kubectl }: Pick<ControlPlane, 'kubectl'>): Promise<void> {
  for (const { plural } of kinds)
    await until(`${plural} to be served`, 60_000, (signal) =>
      kubectl(['get', `${plural}.${apiGroup}`, '--all-namespaces'], { signal }),
    );
}

/** Tells the API server where the access server listens: a Service of type ExternalName to this host. */
export async function installAccess({ kubectl }: ControlPlane, port: number): Promise<void> {
  const text = readFileSync(join(manifests, 'processes', podsOnly), 'utf8');
  const items = parseAllDocuments(text).map((document) => withPort(document.toJS(), port));
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  });
}

interface Exposed {
  spec?: { ports?: { port: number }[]; service?: { port: number } };
}

function withPort(object: unknown, port: number): unknown {
  const exposed = structuredClone(object) as Exposed;
  for (const entry of exposed.spec?.ports ?? []) entry.port = port;
  if (exposed.spec?.service) exposed.spec.service.port = port;
  return exposed;
}

export async function removeAccess({ kubectl }: ControlPlane): Promise<void> {
  const files = ['-f', join(manifests, 'processes', podsOnly)];
  await kubectl(['delete', '--ignore-not-found', '--wait=false', ...files]);
}

/** A kubeconfig of one of the region's service accounts, by a token of the TokenRequest API. */
export async function accountKubeconfig(
  { kubectl }: ControlPlane,
  account: string,
  namespace: string,
): Promise<string> {
  const view = ['config', 'view', '--raw', '--flatten', '--minify', '-o', 'json'];
  const admin = JSON.parse(await kubectl(view)) as Record<string, unknown> & {
    contexts: { name: string; context: { cluster: string } }[];
  };
  const create = ['create', 'token', account, '--namespace', namespace, '--duration', '24h'];
  const token = (await kubectl(create)).trim();
  const [context] = admin.contexts;
  return JSON.stringify({
    ...admin,
    users: [{ name: account, user: { token } }],
    contexts: [
      {
        name: context?.name,
        context: { cluster: context?.context.cluster, user: account, namespace },
      },
    ],
  });
}
