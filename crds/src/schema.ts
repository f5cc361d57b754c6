/**
 * Building blocks of the API's schemas: every string and list is bounded here, so that CEL rules that
 * reach them fit the API server's budget, and every value has one meaning in all kinds.
 *
 * `describe` texts become `kubectl explain`; `.meta({'x-kubernetes-...'})` passes through to the CRD.
 */
import { z } from 'zod';

export const apiGroup = 'edge.cloudlet.dev';
export const apiVersion = 'v1alpha1';
export const groupVersion = `${apiGroup}/${apiVersion}`;

/** A CEL rule of a CRD: `rule` must hold, else `message` is what `kubectl apply` prints. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
  /** Relative to the schema, as in `.spec.ports`. */
  readonly fieldPath?: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired';
}

/** A rule in both its forms. A rule on `oldSelf` has no `holds`: zod never sees the old object. */
export interface Rule<T> extends CelRule {
  readonly holds?: (value: T) => boolean;
}

/**
 * Attaches rules to a schema, as in `z.object({...}).apply(rules({...}))`: as CEL to the CRD and, where they
 * can be told from the value alone, to zod, so that both refuse the same objects with the same sentence.
 */
export function rules<S extends z.ZodType>(...list: readonly Rule<z.output<S>>[]) {
  return (schema: S): S => {
    const checked = list.reduce<z.ZodType>((inner, { holds, message, fieldPath }) => {
      const path = fieldPath ? fieldPath.slice(1).split('.') : [];
      return holds
        ? inner.refine((value) => holds(value as z.output<S>), { message, path })
        : inner;
    }, schema);
    return checked.meta({ 'x-kubernetes-validations': list.map(celOf) }) as S;
  };
}

/** The part of a rule that goes into a CRD. */
export function celOf({ rule, message, fieldPath, reason }: CelRule): CelRule {
  return { rule, message, ...(fieldPath ? { fieldPath } : {}), ...(reason ? { reason } : {}) };
}

export const listMap = (...keys: readonly string[]) => ({
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
});
export const listSet = { 'x-kubernetes-list-type': 'set' };
export const listAtomic = { 'x-kubernetes-list-type': 'atomic' };

/** RFC 1123 label, 63 characters at most. */
export const dnsLabel = (max = 63) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);

/** RFC 1123 subdomain: the name of most Kubernetes objects. */
export const objectName = (max = 253) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);

export const text = (max: number) => z.string().max(max);

/** A Kubernetes quantity, such as `500m`, `1.5` or `512Mi`. */
export const quantity = z
  .string()
  .min(1)
  .max(32)
  .regex(/^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/);

/** A duration as Go and Kubernetes write it, such as `1m30s` or `500ms`. */
export const duration = z
  .string()
  .min(2)
  .max(24)
  .regex(/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/);

export const portNumber = z.int().min(1).max(65535);

export const dateTime = z.iso.datetime({ offset: true });

/**
 * Of every status. The API server sets -1 until the operator has written one, so that whoever waits for an
 * object (kstatus, Argo CD) does not take one that nobody has looked at yet for one that is well.
 */
export const observedGeneration = (what: string) =>
  z.int().min(-1).optional().describe(`${what} -1 before it was looked at.`);

/** metav1.Condition. */
export const condition = z.object({
  type: z.string().max(316).describe('What the condition is about, in CamelCase.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .describe('The metadata.generation that the condition was derived from.'),
  lastTransitionTime: dateTime.describe('When status last changed.'),
  reason: z.string().min(1).max(1024).describe('A CamelCase word for the cause.'),
  message: z.string().max(32768).describe('The cause, for people.'),
});
export type Condition = z.infer<typeof condition>;

export const conditions = z
  .array(condition)
  .max(16)
  .meta(listMap('type'))
  .describe('The latest observations, one of each type.');

/** A key of a Secret in the same namespace. */
export const secretKeyRef = z
  .object({
    name: objectName().describe(
      'Name of the Secret, in the namespace of the object that names it.',
    ),
    key: z
      .string()
      .min(1)
      .max(253)
      .regex(/^[-._a-zA-Z0-9]+$/)
      .describe('Key in the Secret.'),
  })
  .describe('One key of one Secret.');

/** What every object has; the API server owns it. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** An object as the API server returns it. */
export interface Resource<Spec, Status> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/** What the CRD generator and the typed client need to know of a kind. */
export interface KindDefinition<
  Spec extends z.ZodType = z.ZodType,
  Status extends z.ZodType = z.ZodType,
> {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly scope: 'Cluster' | 'Namespaced';
  readonly description: string;
  readonly spec: Spec;
  /** Absent where a kind has no status. */
  readonly status?: Status;
  readonly columns: readonly PrinterColumn[];
  readonly selectableFields?: readonly string[];
  readonly scale?: {
    readonly specPath: string;
    readonly statusPath: string;
    readonly selectorPath?: string;
  };
  /** Rules on the whole object (`self.metadata.name`, `self.spec`). */
  readonly rules?: readonly Rule<{ readonly metadata: { readonly name: string } }>[];
}

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'number' | 'boolean';
  readonly jsonPath: string;
  readonly description: string;
  /** 0 is always shown, 1 only with `-o wide`. */
  readonly priority?: number;
}
