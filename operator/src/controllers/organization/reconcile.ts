/**
 * The organization controller: in each namespace that is labelled as an organization, and in no other, a
 * RoleBinding lets the operator read the Secrets that Apps refer to.
 *
 * Guarantees: a namespace that loses the label loses the RoleBinding; a RoleBinding of that name that binds
 * something else is not the operator's and is left alone.
 */
import { labels, namespaces } from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import {
  coreTypes,
  type KubernetesObject,
  type Outcome,
  type ReconcileContext,
} from '@cloudlet/runtime/kubernetes';
import type { Region } from '../../region.ts';

/** Name of the RoleBinding in a tenant's namespace. */
export const tenantBinding = 'cloudlet-operator';
/** ClusterRole of the installation: may get Secrets. */
export const tenantRole = 'cloudlet-operator-tenant';
/** Service account of the operator. */
export const operatorAccount = 'cloudlet-operator';

interface RoleBinding extends KubernetesObject {
  readonly roleRef: { readonly apiGroup: string; readonly kind: string; readonly name: string };
  readonly subjects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
  }[];
}

const done: Outcome = { kind: 'done' };

export function createOrganizationReconcile(
  region: Region,
): (context: ReconcileContext) => Promise<Outcome> {
  const bindings = region.client.resource<RoleBinding>(coreTypes.roleBindings);
  return async ({ key, signal }) => {
    const namespace = region.informers.namespaces.cache.get(key);
    if (!namespace || namespace.metadata.deletionTimestamp) return done;
    const existing = await bindings.get(tenantBinding, key, { signal }).catch((error: unknown) => {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    });
    const isOurs = existing?.roleRef.name === tenantRole;
    if (isOrganization(namespace)) {
      if (!existing) await create(key, signal);
      return done;
    }
    if (existing && isOurs)
      await bindings.delete(tenantBinding, key, { uid: existing.metadata.uid ?? '', signal });
    return done;
  };

  async function create(namespace: string, signal: AbortSignal): Promise<void> {
    const account = { kind: 'ServiceAccount', name: operatorAccount, namespace: namespaces.system };
    try {
      await bindings.create(
        {
          metadata: {
            name: tenantBinding,
            namespace,
            labels: { [labels.managedBy]: 'cloudlet-operator' },
          },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: tenantRole },
          subjects: [account],
        },
        { signal },
      );
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
}

export const isOrganization = ({ metadata }: KubernetesObject): boolean =>
  metadata.labels?.[labels.organization] === 'true';
