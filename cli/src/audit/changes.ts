/**
 * Which fields a write changed. An audit event holds what was sent and what came of it, never what was there:
 * that is known where the log holds an earlier event of the object, and said to be unknown where not.
 */
export type Change = {
  /** Such as `spec.maintenance`. */
  readonly field: string;
  readonly from?: string;
  readonly to?: string;
};

/** Values of these are told by their field alone: people put into them what nobody should read. */
const quiet =
  /(^|\.)(env|command|args|compose|manifest|files|configs|annotations)(\.|\[|$)|last-applied/;
const longestValue = 60;
const mostFields = 200;

/** Differences of spec, labels and annotations. */
export function changesBetween(before: unknown, after: unknown): readonly Change[] {
  const changes: Change[] = [];
  for (const part of ['spec', 'metadata.labels', 'metadata.annotations', 'metadata.finalizers'])
    compare(valueAt(before, part), valueAt(after, part), part, changes);
  if (
    !valueAt(before, 'metadata.deletionTimestamp') &&
    valueAt(after, 'metadata.deletionTimestamp')
  )
    changes.push({ field: 'metadata.deletionTimestamp' });
  return changes.slice(0, mostFields);
}

/** What a patch names, where nothing is known of before. */
export function fieldsNamed(patch: unknown): readonly Change[] {
  if (Array.isArray(patch))
    return patch.flatMap((step: unknown) => {
      const path = valueAt(step, 'path');
      return typeof path === 'string' ? [{ field: path.slice(1).replaceAll('/', '.') }] : [];
    });
  const changes: Change[] = [];
  const { apiVersion: _, kind: __, ...rest } = isRecord(patch) ? patch : {};
  compare(undefined, rest, '', changes);
  return changes.filter(({ field }) => !isIdentity(field)).slice(0, mostFields);
}

const isIdentity = (field: string): boolean =>
  /^metadata\.(name|namespace|uid|resourceVersion|creationTimestamp|generation)$/.test(field);

function compare(before: unknown, after: unknown, field: string, changes: Change[]): void {
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  if (isRecord(after) && (before === undefined || isRecord(before))) {
    const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]);
    for (const name of names) {
      const inner = field === '' ? name : `${field}.${name}`;
      compare(before?.[name], after[name], inner, changes);
    }
    return;
  }
  changes.push({ field, ...valueOf('from', field, before), ...valueOf('to', field, after) });
}

function valueOf(side: 'from' | 'to', field: string, value: unknown): Partial<Change> {
  const isScalar = ['string', 'number', 'boolean'].includes(typeof value);
  if (!isScalar || quiet.test(field)) return {};
  const text = String(value);
  return text.length > longestValue ? {} : { [side]: text };
}

function valueAt(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => (isRecord(value) ? value[name] : undefined), object);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const changeText = ({ field, from, to }: Change): string => {
  if (from !== undefined && to !== undefined) return `${field}: ${from} -> ${to}`;
  return to === undefined ? field : `${field}=${to}`;
};
