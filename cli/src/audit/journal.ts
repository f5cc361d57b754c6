/**
 * Makes of audit events what people ask: who changed what, who opened what, who read a Secret of the region.
 *
 * Guarantees: a session is one entry, whatever stages the policy writes; a call that was refused is an entry
 * with its code; of a program's arguments only the program is told; memory is bounded.
 */
import { accessGroup, apiGroup, kinds, namespaces } from '@cloudlet/crds';
import { type Change, changesBetween, fieldsNamed } from './changes.ts';
import type { AuditEvent } from './event.ts';

export interface Entry {
  readonly time: string;
  readonly user: string;
  /** Who acted as that user. */
  readonly by?: string;
  readonly action: 'Changed' | 'Opened' | 'Read';
  readonly verb: string;
  /** Such as `AppInst shop/web`. */
  readonly object: string;
  readonly namespace?: string;
  /** Organization that runs the site or zone, where the log tells. */
  readonly operator?: string;
  /** 0 while it is open. */
  readonly code: number;
  readonly changes: readonly Change[];
  /** Whether the log knows what was there before. */
  readonly isCompared?: boolean;
  readonly program?: string;
  /** Of a session that has ended. */
  readonly seconds?: number;
  readonly from?: string;
}

const mostObjects = 10_000;
const mostSessions = 10_000;
const changing: readonly string[] = ['create', 'update', 'patch', 'delete', 'deletecollection'];

export class Journal {
  readonly #entries: Entry[] = [];
  /** Last known state by object. */
  readonly #states = new Map<string, unknown>();
  readonly #open = new Map<string, Entry>();

  /** Events in the order of the log. */
  add(event: AuditEvent): void {
    const { objectRef } = event;
    if (!objectRef) return;
    if (objectRef.apiGroup === accessGroup) this.#session(event);
    else if (objectRef.apiGroup === apiGroup) this.#change(event);
    else if (isRegionSecret(event)) this.#secret(event);
  }

  /** In the order of time; sessions that are still open included. */
  entries(): readonly Entry[] {
    return [...this.#entries, ...this.#open.values()].sort(
      (a, b) => Date.parse(a.time) - Date.parse(b.time),
    );
  }

  #session(event: AuditEvent): void {
    const { objectRef, stage, auditID } = event;
    if (!objectRef?.subresource || !objectRef.name) return; // discovery
    const isEnded = stage === 'ResponseComplete' || stage === 'Panic';
    const { searchParams } = new URL(event.requestURI, 'http://localhost');
    const program = searchParams.get('command') ?? undefined;
    const entry: Entry = {
      ...commonOf(event),
      action: 'Opened',
      verb: objectRef.subresource,
      code: isEnded ? codeOf(event) : 0,
      changes: [],
      ...(program === undefined ? {} : { program: program.slice(0, 128) }),
      ...(isEnded ? { seconds: secondsOf(event) } : {}),
    };
    this.#open.delete(auditID);
    if (isEnded) this.#entries.push(entry);
    else if (this.#open.size < mostSessions) this.#open.set(auditID, entry);
  }

  #change(event: AuditEvent): void {
    const { stage, verb, objectRef } = event;
    if (stage !== 'ResponseComplete' || !changing.includes(verb)) return;
    const code = codeOf(event);
    const key = `${objectRef?.resource} ${objectRef?.namespace}/${objectRef?.name}`;
    const before = this.#states.get(key);
    const after = code < 300 && isObject(event.responseObject) ? event.responseObject : undefined;
    const isCompared = after !== undefined && (before !== undefined || verb === 'create');
    if (after) this.#remember(key, after);
    const named = verb === 'patch' ? fieldsNamed(event.requestObject) : [];
    const operator = operatorOf(after ?? before);
    this.#entries.push({
      ...commonOf(event),
      action: 'Changed',
      verb: objectRef?.subresource ? `${verb} ${objectRef.subresource}` : verb,
      code,
      changes: isCompared ? changesBetween(before, after) : named,
      isCompared,
      ...(operator === undefined ? {} : { operator }),
    });
  }

  #secret(event: AuditEvent): void {
    if (event.stage !== 'ResponseComplete') return;
    const { verb } = event;
    const action = changing.includes(verb) ? 'Changed' : 'Read';
    this.#entries.push({ ...commonOf(event), action, verb, code: codeOf(event), changes: [] });
  }

  #remember(key: string, state: unknown): void {
    this.#states.delete(key);
    this.#states.set(key, state);
    const oldest = this.#states.keys().next().value;
    if (this.#states.size > mostObjects && oldest !== undefined) this.#states.delete(oldest);
  }
}

const ownNamespaces: readonly string[] = [
  namespaces.system,
  namespaces.authority,
  namespaces.secrets,
];

const isRegionSecret = ({ objectRef }: AuditEvent): boolean =>
  objectRef?.apiGroup === '' &&
  objectRef.resource === 'secrets' &&
  ownNamespaces.includes(objectRef.namespace ?? '');

function commonOf(event: AuditEvent) {
  const { user, impersonatedUser, objectRef, sourceIPs } = event;
  const namespace = objectRef?.namespace;
  return {
    time: event.requestReceivedTimestamp,
    user: impersonatedUser?.username ?? user.username,
    ...(impersonatedUser ? { by: user.username } : {}),
    object: objectText(event),
    ...(namespace === undefined ? {} : { namespace }),
    ...(sourceIPs?.[0] === undefined ? {} : { from: sourceIPs[0] }),
  };
}

/** Names are in the answer where the request had none. */
function objectText({ objectRef, responseObject }: AuditEvent): string {
  const { resource = '', namespace } = objectRef ?? {};
  const kind = kinds.find(({ plural }) => plural === resource)?.kind ?? singular(resource);
  const answer = isObject(responseObject) ? responseObject['metadata'] : undefined;
  const answered = isObject(answer) ? answer['name'] : undefined;
  const name = objectRef?.name ?? (typeof answered === 'string' ? answered : '*');
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

const singular = (resource: string): string => (resource === 'secrets' ? 'Secret' : resource);

const codeOf = ({ responseStatus }: AuditEvent): number => responseStatus?.code ?? 0;

const secondsOf = ({ requestReceivedTimestamp, stageTimestamp }: AuditEvent): number =>
  Math.max(
    0,
    Math.round((Date.parse(stageTimestamp) - Date.parse(requestReceivedTimestamp)) / 1000),
  );

function operatorOf(object: unknown): string | undefined {
  const spec = isObject(object) ? object['spec'] : undefined;
  const operator = isObject(spec) ? spec['operator'] : undefined;
  return typeof operator === 'string' ? operator : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
