/**
 * Writing the operator's part of a status, the same way for every kind.
 *
 * Guarantees: a condition keeps its lastTransitionTime as long as its status stays; nothing is written that
 * is there already; what is written is the whole of the operator's part, applied with its one field manager,
 * so that what is left out disappears and what the agent owns is not touched; the object's uid is part of
 * the write, so it never lands on another object of the same name.
 */
import { type Condition, fieldManagers, groupVersion } from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import type { KubernetesObject, ResourceClient } from '@cloudlet/runtime/kubernetes';
import type { Freshest } from './freshest.ts';
import type { OurKinds } from './kinds.ts';

/** A condition before it is known when it became so. */
export interface Verdict {
  readonly type: string;
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
}

export function conditionsFrom(
  verdicts: readonly Verdict[],
  previous: readonly Condition[] | undefined,
  generation: number,
  now: number,
): Condition[] {
  return verdicts.map((verdict) => {
    const before = previous?.find(({ type }) => type === verdict.type);
    const isSame = before?.status === verdict.status;
    return {
      type: verdict.type,
      status: verdict.status,
      observedGeneration: generation,
      lastTransitionTime: isSame ? before.lastTransitionTime : timestamp(now),
      reason: verdict.reason,
      message: verdict.message.slice(0, 32_768),
    };
  });
}

/** RFC 3339 in whole seconds, as metav1.Time. */
export const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

export const conditionOf = (
  object:
    { readonly status?: { readonly conditions?: readonly Condition[] | undefined } } | undefined,
  type: string,
): Condition | undefined =>
  object?.status?.conditions?.find((condition) => condition.type === type);

interface WithStatus extends KubernetesObject {
  readonly status?: { readonly conditions?: readonly Condition[] | undefined };
}

export interface StatusWriterOptions<T extends WithStatus> {
  readonly kind: keyof OurKinds;
  readonly client: Pick<ResourceClient<T>, 'apply'>;
  readonly freshest: Pick<Freshest<T>, 'wrote'>;
  /** Top-level fields of the operator. */
  readonly fields: readonly string[];
  /** Condition types of the operator. */
  readonly conditions: readonly string[];
}

export interface StatusWriter<T extends WithStatus> {
  isCurrent(object: T, status: object): boolean;
  /** Writes `status`, the whole of the operator's part, if it differs. Gives the newest state. */
  write(object: T, status: object, signal: AbortSignal): Promise<T>;
}

export function createStatusWriter<T extends WithStatus>(
  options: StatusWriterOptions<T>,
): StatusWriter<T> {
  const part = (status: object): unknown => ownedPart(status, options.fields, options.conditions);
  const isCurrent = (object: T, status: object): boolean =>
    contentHash(part(object.status ?? {})) === contentHash(part(status));
  return {
    isCurrent,
    async write(object, status, signal) {
      if (isCurrent(object, status)) return object;
      const { name, namespace, uid } = object.metadata;
      const body = {
        apiVersion: groupVersion,
        kind: options.kind,
        metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid },
        status,
      };
      return options.freshest.wrote(
        await options.client.apply(body as Parameters<typeof options.client.apply>[0], {
          fieldManager: fieldManagers.operator,
          subresource: 'status',
          signal,
        }),
      );
    },
  };
}

function ownedPart(
  status: object,
  fields: readonly string[],
  types: readonly string[],
): Record<string, unknown> {
  const all = status as Record<string, unknown>;
  const conditions = (all['conditions'] ?? []) as readonly Condition[];
  return {
    ...Object.fromEntries(fields.map((field) => [field, all[field]])),
    conditions: conditions
      .filter(({ type }) => types.includes(type))
      .sort((a, b) => (a.type < b.type ? -1 : 1)),
  };
}
