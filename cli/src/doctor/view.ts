/**
 * What the doctor looks at: everything is read once, with the caller's own rights, and judged afterwards.
 *
 * Guarantees: what the caller may not read is undefined and named in `denied`, and nothing fails for it; of
 * Secrets only the certificate is kept; time is the API server's, so that a laptop's wrong clock accuses nobody.
 */
import { X509Certificate } from 'node:crypto';
import { apiGroup, kinds, namespaces } from '@cloudlet/crds';
import { type Clock, ForbiddenError, NotFoundError } from '@cloudlet/runtime/base';
import {
  coreTypes,
  type KubernetesClient,
  type KubernetesObject,
  type Lease,
  type ResourceType,
} from '@cloudlet/runtime/kubernetes';
import {
  type OurKinds,
  resourceTypes,
  type SecretObject,
  servingSecrets,
} from '@cloudlet/operator';
import { accessApiService } from '@cloudlet/operator/install';

export interface Crd extends KubernetesObject {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly schema?: { readonly openAPIV3Schema?: unknown };
    }[];
  };
  readonly status?: { readonly conditions?: readonly StatusCondition[] };
}

export interface StatusCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface ApiService extends KubernetesObject {
  readonly status?: { readonly conditions?: readonly StatusCondition[] };
}

export interface Pod extends KubernetesObject {
  readonly spec?: {
    readonly containers: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly StatusCondition[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
      };
      readonly lastState?: {
        readonly terminated?: { readonly reason?: string; readonly finishedAt?: string };
      };
    }[];
  };
}

/** A serving certificate of the region: when it ends, and when the authority that signed it does. */
export interface ServingCertificate {
  readonly secret: string;
  readonly notAfter: number;
  readonly authorityNotAfter: number | undefined;
}

export type OurLists = { readonly [K in keyof OurKinds]?: readonly OurKinds[K][] };

/** Fields are undefined where the caller may not read. */
export interface RegionView {
  /** By the API server's clock. */
  readonly now: number;
  /** This machine's clock minus the API server's. */
  readonly skewMs: number;
  readonly pluginVersion: string;
  /** What could not be read, as in `list leases in cloudlet-system`. */
  readonly denied: readonly string[];
  /** Of our kinds, by name; a name that is absent is not there. */
  readonly crds: ReadonlyMap<string, Crd> | undefined;
  readonly apiService: ApiService | 'Absent' | undefined;
  /** `Kind name` of what the installation should hold and is there. */
  readonly installed: ReadonlyMap<string, ReadonlySet<string>>;
  readonly leases: readonly Lease[] | undefined;
  readonly pods: readonly Pod[] | undefined;
  readonly certificates: readonly (ServingCertificate | { readonly absent: string })[] | undefined;
  readonly objects: OurLists;
}

/** Kinds of the installation whose presence is looked at, by name. */
export const installedTypes = [
  coreTypes.validatingAdmissionPolicies,
  coreTypes.validatingAdmissionPolicyBindings,
  coreTypes.flowSchemas,
] as const;

export interface ViewOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly pluginVersion: string;
  /** Where objects of namespaces are looked at, for who may not list them everywhere. */
  readonly namespace: string;
}

/** @throws UnreachableError when there is no API server to ask. */
export async function viewRegion(options: ViewOptions): Promise<RegionView> {
  const { client, clock, pluginVersion } = options;
  const reader = new Reader(options);
  const serverNow = await reader.time();
  const [crds, apiService, leases, pods, certificates, installed, objects] = await Promise.all([
    readCrds(reader),
    reader.one<ApiService>(coreTypes.apiServices, accessApiService),
    reader.list<Lease>(coreTypes.leases, namespaces.system),
    reader.list<Pod>(coreTypes.pods, namespaces.system),
    readCertificates(reader),
    readInstalled(reader),
    readObjects(reader, client, options),
  ]);
  return {
    now: serverNow,
    skewMs: clock.now() - serverNow,
    pluginVersion,
    denied: [...new Set(reader.denied)].sort(),
    ...{ crds, apiService, leases, pods, certificates, installed, objects },
  };
}

class Reader {
  readonly denied: string[] = [];
  readonly #client: KubernetesClient;
  readonly #signal: AbortSignal;

  constructor({ client, signal }: ViewOptions) {
    this.#client = client;
    this.#signal = signal;
  }

  /** The API server's time, to the second: every user may ask who he is. */
  async time(): Promise<number> {
    const review = (await this.#client.request(
      'POST',
      '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
        signal: this.#signal,
      },
    )) as { readonly metadata?: { readonly creationTimestamp?: string } };
    const time = Date.parse(review.metadata?.creationTimestamp ?? '');
    return Number.isNaN(time) ? Date.now() : time;
  }

  async one<T extends KubernetesObject>(
    type: ResourceType,
    name: string,
    namespace?: string,
  ): Promise<T | 'Absent' | undefined> {
    const options = { signal: this.#signal };
    const reading = this.#client.resource<T>(type).get(name, namespace, options);
    return this.#read<T | 'Absent'>(
      `get ${type.plural}${namespace === undefined ? '' : ` in ${namespace}`}`,
      reading,
      'Absent',
    );
  }

  /** A kind that is not served has no objects. */
  list<T extends KubernetesObject>(
    type: ResourceType,
    namespace?: string,
  ): Promise<readonly T[] | undefined> {
    const where = namespace === undefined ? '' : ` in ${namespace}`;
    const options = { signal: this.#signal, ...(namespace === undefined ? {} : { namespace }) };
    const reading = this.#client.resource<T>(type).list(options);
    return this.#read(
      `list ${type.plural}${where}`,
      reading.then(({ items }) => items),
      [],
    );
  }

  async #read<T>(what: string, reading: Promise<T>, absent: T): Promise<T | undefined> {
    try {
      return await reading;
    } catch (error) {
      if (error instanceof NotFoundError) return absent;
      if (!(error instanceof ForbiddenError)) throw error;
      this.denied.push(what);
      return undefined;
    }
  }
}

async function readCrds(reader: Reader): Promise<RegionView['crds']> {
  const found = await Promise.all(
    kinds.map(({ plural }) =>
      reader.one<Crd>(coreTypes.customResourceDefinitions, `${plural}.${apiGroup}`),
    ),
  );
  if (found.includes(undefined)) return undefined;
  const there = found.filter((crd) => crd !== undefined && crd !== 'Absent');
  return new Map(there.map((crd) => [crd.metadata.name, crd]));
}

async function readInstalled(reader: Reader): Promise<RegionView['installed']> {
  const lists = await Promise.all(
    installedTypes.map(async (type) => [type.kind, await reader.list(type)] as const),
  );
  return new Map(
    lists.flatMap(([kind, items]) =>
      items ? [[kind, new Set(items.map(({ metadata }) => metadata.name))]] : [],
    ),
  );
}

async function readCertificates(reader: Reader): Promise<RegionView['certificates']> {
  const read = await Promise.all(
    Object.values(servingSecrets).map(async (name) => {
      const secret = await reader.one<SecretObject>(coreTypes.secrets, name, namespaces.system);
      return secret === undefined ? undefined : certificateOf(name, secret);
    }),
  );
  const known = read.filter((one) => one !== undefined);
  return known.length === read.length ? known : undefined;
}

function certificateOf(
  secret: string,
  object: SecretObject | 'Absent',
): ServingCertificate | { readonly absent: string } {
  const pem = object === 'Absent' ? undefined : object.data;
  const notAfter = endOf(pem?.['tls.crt']);
  if (notAfter === undefined) return { absent: secret };
  return { secret, notAfter, authorityNotAfter: endOf(pem?.['ca.crt']) };
}

function endOf(base64: string | undefined): number | undefined {
  if (base64 === undefined) return undefined;
  try {
    return Date.parse(new X509Certificate(Buffer.from(base64, 'base64')).validTo);
  } catch {
    return undefined; // damaged is as good as absent
  }
}

/** Kinds of namespaces everywhere, else in the caller's own. */
async function readObjects(
  reader: Reader,
  client: KubernetesClient,
  { namespace, signal }: ViewOptions,
): Promise<OurLists> {
  const lists = await Promise.all(
    Object.entries(resourceTypes).map(async ([kind, type]) => {
      if (!type.namespaced) return [kind, await reader.list(type)] as const;
      try {
        return [kind, (await client.resource(type).list({ signal })).items] as const;
      } catch (error) {
        if (error instanceof NotFoundError) return [kind, []] as const;
        if (!(error instanceof ForbiddenError)) throw error;
        reader.denied.push(`list ${type.plural} of all namespaces`);
        return [kind, await reader.list(type, namespace)] as const;
      }
    }),
  );
  return Object.fromEntries(lists.filter(([, items]) => items !== undefined));
}
