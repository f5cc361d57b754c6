/**
 * Checks an object as the API server would, before it is sent: for `kubectl cloudlet explain` and tests.
 * Transition rules (`oldSelf`) and unknown fields are the API server's alone.
 */
import { groupVersion } from './schema.ts';
import { kinds } from './kinds.ts';

export interface Mistake {
  /** Such as `spec.ports[0].endPort`. */
  readonly path: string;
  readonly message: string;
}

/** Every mistake of `object`; none if the API server would take it. */
export function mistakesOf(object: unknown): readonly Mistake[] {
  const {
    apiVersion,
    kind: name,
    metadata,
    spec,
  } = (object ?? {}) as Partial<Record<string, unknown>>;
  if (apiVersion !== groupVersion)
    return [{ path: 'apiVersion', message: `must be ${groupVersion}` }];
  const kind = kinds.find((candidate) => candidate.kind === name);
  if (!kind)
    return [
      { path: 'kind', message: `must be one of ${kinds.map((each) => each.kind).join(', ')}` },
    ];
  const objectName = (metadata as { name?: unknown } | undefined)?.name;
  if (typeof objectName !== 'string' || objectName === '')
    return [{ path: 'metadata.name', message: 'is required' }];
  const parsed = kind.spec.safeParse(spec);
  const issues = parsed.success ? [] : parsed.error.issues;
  return [
    ...(kind.rules ?? [])
      .filter((rule) => rule.holds?.({ metadata: { name: objectName } }) === false)
      .map((rule) => ({ path: 'metadata.name', message: rule.message })),
    ...issues.map((issue) => ({ path: pathOf(['spec', ...issue.path]), message: issue.message })),
  ];
}

function pathOf(parts: readonly PropertyKey[]): string {
  return parts.reduce<string>(
    (path, part) =>
      typeof part === 'number' ? `${path}[${part}]` : `${path}${path ? '.' : ''}${String(part)}`,
    '',
  );
}
