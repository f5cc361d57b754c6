/** A region of its own with the CRDs and the manifests of the installation, for the scenarios of the hub. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { groupVersion, kinds } from '@cloudlet/crds';
import { describeError, ForbiddenError, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  type KubernetesClient,
  type KubernetesObject,
  type ResourceType,
} from '@cloudlet/runtime/kubernetes';
import { type ControlPlane, repositoryRoot, startControlPlane } from '../testbed/index.ts';
import { kindsServed } from '../testbed/region/install.ts';

export interface HubBed extends AsyncDisposable {
  readonly dir: string;
  readonly region: ControlPlane;
  /** An administrator's. */
  readonly client: KubernetesClient;
  create(
    kind: string,
    metadata: { readonly name: string; readonly namespace?: string },
    spec: object,
  ): Promise<KubernetesObject>;
}

/** The ResourceType of one of our kinds. */
export function typeOf(kind: string): ResourceType {
  const found = kinds.find((each) => each.kind === kind);
  assert.ok(found, `no kind ${kind}`);
  return {
    group: 'edge.cloudlet.dev',
    version: 'v1alpha1',
    plural: found.plural,
    kind,
    namespaced: found.scope === 'Namespaced',
  };
}

/** Name of the service account of a process of the region. */
export const accountOf = (process: 'operator' | 'hub' | 'access'): string =>
  `system:serviceaccount:cloudlet-system:cloudlet-${process}`;

/** The attempt fails by a policy of the installation, with this sentence. */
export const refused = (attempt: Promise<unknown>, sentence: RegExp): Promise<void> =>
  assert.rejects(attempt, (error) => {
    assert.ok(error instanceof ForbiddenError, describeError(error));
    assert.match(error.message, /ValidatingAdmissionPolicy/);
    assert.match(error.message, sentence);
    return true;
  });

/** @param manifests folders of the repository beside the CRDs. */
export async function openHubBed(
  prefix: string,
  manifests: readonly string[] = ['operator/manifests'],
): Promise<HubBed> {
  const dir = await mkdtemp(join(tmpdir(), prefix));
  const region = await startControlPlane({ dir: join(dir, 'region') });
  const client = createClient({
    kubeconfig: region.kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'hub-scenarios',
  });
  for (const folder of ['crds/manifests', ...manifests])
    await region.kubectl(['apply', '--server-side', '-f', join(repositoryRoot, folder)]);
  await kindsServed(region);
  await policiesActive(client);
  return {
    dir,
    region,
    client,
    create: (kind, metadata, spec) =>
      client
        .resource<KubernetesObject>(typeOf(kind))
        .create({ apiVersion: groupVersion, kind, metadata, spec } as KubernetesObject),
    async [Symbol.asyncDispose]() {
      await client.close();
      await region.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The API server compiles policies a moment after it has stored them: the last one of the list tells. */
async function policiesActive(client: KubernetesClient): Promise<void> {
  const ledgers = client.resource<KubernetesObject>(typeOf('CloudletLedger'));
  const ledger = { metadata: { name: 'canary' }, spec: { cloudletId: 'a', sequence: 1 } };
  await ledgers.create(ledger);
  for (let tries = 0; tries < 200; tries++) {
    const outcome = await ledgers
      .mergePatch('canary', undefined, { spec: { sequence: tries } })
      .then(
        () => '',
        (error: unknown) => describeError(error),
      );
    if (outcome.includes('by the operator alone')) {
      await ledgers.delete('canary');
      return;
    }
    await systemClock.sleep(100);
  }
  assert.fail('the policies did not become active');
}
