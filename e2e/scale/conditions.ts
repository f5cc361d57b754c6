/** Conditions of an object by type. */
import type { Condition } from '@cloudlet/crds';

export const conditionOf = (
  object: { readonly status?: { readonly conditions?: readonly Condition[] | undefined } },
  type: string,
): Condition | undefined => object.status?.conditions?.find((condition) => condition.type === type);
