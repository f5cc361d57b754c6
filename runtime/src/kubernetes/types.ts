/** The shapes that the Kubernetes half of the runtime offers; see the file of each for its guarantees. */
import type { Logger } from '../base/index.ts';

/** An object as the API server sends it; `metadata.managedFields` is dropped on the way in. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly finalizers?: readonly string[];
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly {
      readonly apiVersion: string;
      readonly kind: string;
      readonly name: string;
      readonly uid: string;
      readonly controller?: boolean;
      readonly blockOwnerDeletion?: boolean;
    }[];
  };
}

/** Where a kind lives in the API. */
export interface ResourceType {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** `namespace/name`, or the name alone for what is cluster-scoped. */
export type ObjectKey = string;

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** @default 30_000 */
  readonly timeoutMs?: number;
  /** Sends the call as this user (`Impersonate-User`). */
  readonly impersonate?: { readonly user: string; readonly groups?: readonly string[] };
}

export interface ApplyOptions extends CallOptions {
  readonly fieldManager: string;
  /** Take over fields of other managers. @default true */
  readonly force?: boolean;
  /** Such as `status`. */
  readonly subresource?: string;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/**
 * Typed calls on one kind. Errors are those of `runtime/base`: NotFoundError, ConflictError, InvalidError,
 * ForbiddenError, GoneError, TooManyRequestsError, UnreachableError, DeadlineError.
 */
export interface ResourceClient<T extends KubernetesObject> {
  readonly type: ResourceType;
  get(name: string, namespace?: string, options?: CallOptions): Promise<T>;
  /** All pages. */
  list(
    options?: ListOptions,
  ): Promise<{ readonly items: readonly T[]; readonly resourceVersion: string }>;
  create(
    object: DeepPartialObject<T>,
    options?: CallOptions & { readonly fieldManager?: string },
  ): Promise<T>;
  /** PUT; `metadata.resourceVersion` is the precondition. */
  replace(
    object: T,
    options?: CallOptions & { readonly fieldManager?: string; readonly subresource?: string },
  ): Promise<T>;
  /** Server-side apply. */
  apply(object: DeepPartialObject<T>, options: ApplyOptions): Promise<T>;
  /** JSON merge patch; put `metadata.resourceVersion` into it for a precondition. */
  mergePatch(
    name: string,
    namespace: string | undefined,
    patch: object,
    options?: CallOptions & { readonly fieldManager?: string; readonly subresource?: string },
  ): Promise<T>;
  delete(
    name: string,
    namespace?: string,
    options?: CallOptions & {
      readonly uid?: string;
      readonly resourceVersion?: string;
      readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
    },
  ): Promise<void>;
}

export type DeepPartial<T> = T extends readonly (infer U)[]
  ? readonly DeepPartial<U>[]
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> | undefined }
    : T;

/** An object with a name; the rest as much as the caller owns. */
export type DeepPartialObject<T extends KubernetesObject> = DeepPartial<T> & {
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

export interface KubernetesClient {
  /** Address of the API server, without credentials. */
  readonly server: string;
  resource<T extends KubernetesObject>(type: ResourceType): ResourceClient<T>;
  /** A raw call; `path` starts with `/`. Gives the parsed body, or text where that is no JSON. */
  request(
    method: string,
    path: string,
    options?: CallOptions & { readonly body?: unknown; readonly contentType?: string },
  ): Promise<unknown>;
  /**
   * A GET whose answer is read as it comes: watches, followed logs. Ends with an error after `idleMs` without a
   * byte, and with the signal's reason when it aborts; leaving the loop closes the connection.
   */
  stream(path: string, options: StreamOptions): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface StreamOptions extends Omit<CallOptions, 'timeoutMs'> {
  /** Longest silence, from the request on, in milliseconds. */
  readonly idleMs: number;
  /** Called when the server took the request, before its first byte. */
  readonly onOpen?: (() => void) | undefined;
}

/** A read-only view of one kind, kept by list and watch. Objects in it are never changed in place. */
export interface Cache<T extends KubernetesObject> {
  get(key: ObjectKey): T | undefined;
  list(): readonly T[];
  readonly size: number;
  /** The objects whose index function gave `value`. */
  byIndex(index: string, value: string): readonly T[];
}

export type CacheEvent<T extends KubernetesObject> =
  | {
      readonly type: 'Added';
      readonly object: T;
      /** Part of the first list, or of a list again. */ readonly initial: boolean;
    }
  | { readonly type: 'Updated'; readonly object: T; readonly old: T; readonly initial: boolean }
  | { readonly type: 'Deleted'; readonly object: T };

export interface InformerOptions<T extends KubernetesObject> {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
  /** Applied to each object as it comes in, to keep less of it. */
  readonly transform?: (object: T) => T;
  readonly logger?: Logger;
}

export interface Informer<T extends KubernetesObject> {
  readonly type: ResourceType;
  readonly cache: Cache<T>;
  /** Handlers are called in order, synchronously; an error in one is logged and does not stop the others. */
  subscribe(handler: (event: CacheEvent<T>) => void): { unsubscribe(): void };
  /** Runs until the signal aborts; heals every fault of the connection by itself. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the first list is in the cache. */
  synced(signal?: AbortSignal): Promise<void>;
  readonly hasSynced: boolean;
  /**
   * Whether the cache follows the server. False before the first list, and from a failure on until the cache was
   * listed again, or a watch has been open for a moment, in which the server tells what was missed.
   */
  readonly isCurrent: boolean;
  /** Monotonic milliseconds of the last sign of life: list, event or bookmark. */
  readonly lastProgress: number;
}

/** What a reconcile came to. Errors are thrown and go through `policyOf`. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'requeue'; readonly afterMs: number; readonly reason: string };

export interface ReconcileContext {
  readonly key: ObjectKey;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Tries of this key that failed in a row. */
  readonly attempt: number;
}

export interface ControllerOptions {
  readonly name: string;
  /** @default 1 */
  readonly workers?: number;
  readonly reconcile: (context: ReconcileContext) => Promise<Outcome>;
  readonly logger: Logger;
  /** Every key is looked at again after so long, spread out. @default 10 h */
  readonly resyncMs?: number;
  /** @default 2 min; a reconcile is aborted after it. */
  readonly timeoutMs?: number;
}

/** Priorities of the work queue: fresh changes overtake the start-up flood. */
export const priorities = { fresh: 0, low: -100 } as const;

export interface Controller {
  readonly name: string;
  /**
   * Events of the informer lead to keys. Objects of the first list come at low priority, and so do the keys of
   * an event that leads to many.
   */
  watches<T extends KubernetesObject>(
    informer: Informer<T>,
    keysOf: (object: T, event: CacheEvent<T>) => readonly ObjectKey[],
  ): void;
  /** Have a key looked at; the lower of two delays and the higher of two priorities win. */
  enqueue(
    key: ObjectKey,
    options?: { readonly afterMs?: number; readonly priority?: number },
  ): void;
  /** Runs its workers until the signal aborts, then lets those under way finish. */
  run(signal: AbortSignal): Promise<void>;
}
