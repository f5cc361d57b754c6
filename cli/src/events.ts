/** Events of our kinds: how they are read, whose they are, and how they look. */
import { apiGroup, type AppInst, type Cloudlet, type Zone } from '@cloudlet/crds';
import { ForbiddenError } from '@cloudlet/runtime/base';
import {
  coreTypes,
  type KubernetesClient,
  type KubernetesObject,
} from '@cloudlet/runtime/kubernetes';
import { resourceTypes } from '@cloudlet/operator';
import { ageOf } from './age.ts';
import { formatTable } from './terminal.ts';

/** events.k8s.io/v1. */
export interface EventObject extends KubernetesObject {
  readonly type?: string;
  readonly reason?: string;
  readonly action?: string;
  readonly note?: string;
  readonly eventTime?: string | null;
  readonly series?: { readonly count: number; readonly lastObservedTime: string } | null;
  readonly deprecatedLastTimestamp?: string | null;
  readonly regarding?: {
    readonly apiVersion?: string;
    readonly kind?: string;
    readonly name?: string;
    readonly namespace?: string;
  };
}

export const isOurs = ({ regarding }: EventObject): boolean =>
  regarding?.apiVersion?.startsWith(`${apiGroup}/`) ?? false;

/** When it was last seen. */
export const timeOf = (event: EventObject): string =>
  event.series?.lastObservedTime ??
  event.eventTime ??
  event.deprecatedLastTimestamp ??
  event.metadata.creationTimestamp ??
  '';

export const byTime = (a: EventObject, b: EventObject): number =>
  Date.parse(timeOf(a)) - Date.parse(timeOf(b));

const objectOf = ({ regarding }: EventObject): string => {
  const { kind = '', namespace, name = '' } = regarding ?? {};
  return `${kind} ${namespace ? `${namespace}/` : ''}${name}`;
};

export function eventRow(event: EventObject, now: number): readonly string[] {
  const { type = '', reason = '', note = '', series } = event;
  const count = series && series.count > 1 ? ` (${series.count} times)` : '';
  return [ageOf(timeOf(event), now), type, reason, objectOf(event), `${note}${count}`];
}

const heads = ['SEEN', 'TYPE', 'REASON', 'OBJECT', 'WHAT'];

export const eventTable = (events: readonly EventObject[], now: number): string =>
  formatTable([heads, ...events.map((event) => eventRow(event, now))]);

/** What belongs to an organization: its namespace, and the sites and zones that it runs. */
export interface EventFilter {
  readonly organization?: string | undefined;
  readonly cloudlet?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly since?: number | undefined;
}

interface Belongings {
  /** `Kind namespace/name` or `Kind name`. */
  readonly objects: ReadonlySet<string>;
}

/** Whether an event is asked for; `belongings` holds what the filter's names lead to. */
export function isAsked(
  event: EventObject,
  { organization, cloudlet, since }: EventFilter,
  { objects }: Belongings,
): boolean {
  if (!isOurs(event)) return false;
  if (since !== undefined && Date.parse(timeOf(event)) < since) return false;
  const object = objectOf(event);
  const isOrganizations =
    organization === undefined ||
    event.regarding?.namespace === organization ||
    objects.has(`organization ${object}`);
  const isSites = cloudlet === undefined || objects.has(`cloudlet ${object}`);
  return isOrganizations && isSites;
}

/** Looks up what a filter's names lead to, as far as the caller may see it. */
export async function belongingsOf(
  client: KubernetesClient,
  { organization, cloudlet }: EventFilter,
  signal: AbortSignal,
): Promise<Belongings> {
  const seen = async <T extends KubernetesObject>(
    kind: 'Cloudlet' | 'Zone' | 'AppInst',
  ): Promise<readonly T[]> => {
    try {
      return (await client.resource<T>(resourceTypes[kind]).list({ signal })).items;
    } catch (error) {
      if (error instanceof ForbiddenError) return [];
      throw error;
    }
  };
  const objects = new Set<string>();
  if (organization !== undefined) {
    for (const { metadata, spec } of await seen<Cloudlet>('Cloudlet'))
      if (spec.operator === organization)
        for (const kind of ['Cloudlet', 'CloudletLedger'])
          objects.add(`organization ${kind} ${metadata.name}`);
    for (const { metadata, spec } of await seen<Zone>('Zone'))
      if (spec.operator === organization) objects.add(`organization Zone ${metadata.name}`);
  }
  if (cloudlet !== undefined) {
    for (const kind of ['Cloudlet', 'CloudletLedger']) objects.add(`cloudlet ${kind} ${cloudlet}`);
    for (const { metadata, status } of await seen<AppInst>('AppInst'))
      if (status?.placement?.cloudlet === cloudlet)
        objects.add(`cloudlet AppInst ${metadata.namespace}/${metadata.name}`);
  }
  return { objects };
}

/**
 * Events of one namespace, or of all; where the caller may not see all, of `own` alone.
 * @returns the namespace that was read; undefined for all.
 */
export async function listEvents(
  client: KubernetesClient,
  wanted: string | undefined,
  own: string,
  signal: AbortSignal,
): Promise<{ readonly items: readonly EventObject[]; readonly namespace: string | undefined }> {
  const events = client.resource<EventObject>(coreTypes.events);
  const of = async (namespace: string | undefined) => {
    const { items } = await events.list({ signal, ...(namespace ? { namespace } : {}) });
    return { items, namespace };
  };
  try {
    return await of(wanted);
  } catch (error) {
    if (!(error instanceof ForbiddenError) || wanted !== undefined) throw error;
    return of(own);
  }
}
