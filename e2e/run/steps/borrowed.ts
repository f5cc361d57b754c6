/**
 * A cluster that is somebody's: what `npm start --provider context` puts there, and how it takes it away.
 *
 * Guarantees: refuses a cluster that has the product already, unless an earlier run left it there; takes
 * away all that was put there, the kinds last, when nothing of them is left that a controller must see.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { apiGroup, kinds, namespaces } from '@cloudlet/crds';
import { TerminalError } from '@cloudlet/runtime/base';
import { type ControlPlane, repositoryRoot } from '../../testbed/index.ts';
import { demo } from './demo.ts';

const mark = 'cloudlet.test/npm-start';

/** @throws TerminalError (`InvalidFlags`) where the cluster has the product of somebody else. */
export async function borrow({ kubectl }: ControlPlane, context: string): Promise<void> {
  const crd = ['get', 'crd', `cloudlets.${apiGroup}`, '--ignore-not-found', '-o', 'name'];
  const path = `jsonpath={.metadata.annotations.${mark.replaceAll('.', '\\.')}}`;
  const namespace = ['get', 'namespace', namespaces.system, '--ignore-not-found', '-o', path];
  const isThere = (await kubectl(crd)).trim() !== '';
  if (isThere && (await kubectl(namespace)).trim() === '') {
    throw new TerminalError(
      'InvalidFlags',
      `context ${context} has Cloudlet Operator already, and npm start would take it over`,
    );
  }
  const object = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespaces.system, annotations: { [mark]: 'true' } },
  };
  // A manager of its own: what installs the region would take the mark away.
  await kubectl(['apply', '--server-side', '--field-manager', 'npm-start', '-f', '-'], {
    input: JSON.stringify(object),
  });
}

/** Takes the objects away while the region and the site still act, which let go of them. */
export async function removeObjects({ kubectl }: ControlPlane): Promise<void> {
  const gone = ['--ignore-not-found', '--timeout=120s'];
  const remove = (...what: string[]): Promise<string> =>
    kubectl(['delete', ...what, ...gone], { timeoutMs: 130_000 });
  await remove('namespace', demo.namespace);
  await remove('cloudlet', demo.cloudlet);
}

/** Takes away what the region put there, after its processes ended. */
export async function giveBack({ kubectl }: ControlPlane): Promise<void> {
  const files = (folder: string): string[] =>
    readdirSync(join(repositoryRoot, folder))
      .filter((name) => name.endsWith('.yaml'))
      .sort()
      .reverse()
      .flatMap((name) => ['-f', join(repositoryRoot, folder, name)]);
  const gone = ['--ignore-not-found', '--timeout=120s'];
  const plurals = kinds.map(({ plural }) => `${plural}.${apiGroup}`);
  const kept = await kubectl(['get', plurals.join(','), '--all-namespaces', '-o', 'name']);
  const own = kept.split('\n').filter((name) => name !== '' && !name.startsWith('cloudletledger'));
  if (own.length > 0) {
    throw new TerminalError(
      'NotEmpty',
      `left in the cluster, for they are yours: ${own.join(', ')}`,
    );
  }
  const remove = (...what: string[]): Promise<string> =>
    kubectl(['delete', ...gone, ...what], { timeoutMs: 250_000 });
  await remove(...files(join('crds', 'manifests')));
  await remove(...files(join('operator', 'manifests')));
}
