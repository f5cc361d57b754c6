/** Shapes that every manifest shares. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

const partOf = { 'app.kubernetes.io/part-of': 'cloudlet-operator' } as const;

export function manifest(
  apiVersion: string,
  kind: string,
  metadata: Manifest['metadata'],
  rest: Readonly<Record<string, unknown>> = {},
): Manifest {
  return {
    apiVersion,
    kind,
    metadata: { ...metadata, labels: { ...partOf, ...metadata.labels } },
    ...rest,
  };
}
