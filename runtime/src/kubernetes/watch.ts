/**
 * One watch: bytes in, events out.
 *
 * Guarantees: an event comes out only when its line is whole, so a cut stream loses nothing that the resource
 * version claims to have; a line that is no event ends the watch with a ProtocolError, and an ERROR event with
 * the error that its Status means (GoneError for 410). Lines are bounded.
 */
import { ProtocolError } from '../base/index.ts';
import { cleaned } from './client.ts';
import { resourcePath } from './paths.ts';
import { type ApiStatus, errorOfStatus } from './response-errors.ts';
import type { KubernetesClient, KubernetesObject, ResourceType } from './types.ts';

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: T };

export interface WatchOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly resourceVersion: string;
  /** The server ends the watch after so long. */
  readonly timeoutSeconds: number;
  readonly idleMs: number;
  readonly signal: AbortSignal;
  /** Called when the server took the watch. */
  readonly onOpen?: () => void;
}

/** An object is at most 3 MiB in etcd; JSON may be a few times that. */
const longestLine = 32 * 1024 * 1024;

/** Ends when the server closes the stream in order. */
export async function* watch<T extends KubernetesObject>(
  client: KubernetesClient,
  type: ResourceType,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const { namespace, idleMs, signal, onOpen, ...query } = options;
  const path = resourcePath(
    type,
    { namespace },
    { watch: true, allowWatchBookmarks: true, ...query },
  );
  for await (const line of lines(client.stream(path, { idleMs, signal, onOpen }), type))
    yield parseEvent<T>(line, type);
}

/** Whole lines; what is left at the end was cut off and is dropped. */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  type: Pick<ResourceType, 'plural'>,
): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const last = chunk.subarray(start, end);
      // Joined before it is decoded: a character may be cut between two chunks.
      const line = parts.length === 0 ? last : Buffer.concat([...parts, last]);
      parts = [];
      length = 0;
      start = end + 1;
      if (line.length > 0) yield Buffer.from(line.buffer, line.byteOffset, line.length).toString();
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > longestLine)
      throw new ProtocolError(`watch ${type.plural}: a line is longer than ${longestLine} bytes`);
  }
}

interface RawEvent {
  readonly type?: unknown;
  readonly object?: unknown;
}

function parseEvent<T extends KubernetesObject>(line: string, type: ResourceType): WatchEvent<T> {
  let event: RawEvent;
  try {
    event = JSON.parse(line) as RawEvent;
  } catch (cause) {
    throw new ProtocolError(`watch ${type.plural}: a line is no JSON`, { cause });
  }
  const { object } = event;
  switch (event.type) {
    case 'ERROR': {
      const status = (object ?? {}) as ApiStatus;
      throw errorOfStatus(`watch ${type.plural}`, status.code ?? 500, status);
    }
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      if (!hasVersion(object))
        throw new ProtocolError(`watch ${type.plural}: ${event.type} without a resource version`);
      return { type: event.type, object: cleaned(object as unknown as T, type) };
    default:
      throw new ProtocolError(`watch ${type.plural}: a line is no event`);
  }
}

function hasVersion(object: unknown): object is { metadata: { resourceVersion: string } } {
  const metadata = (object as { metadata?: { resourceVersion?: unknown } } | null | undefined)
    ?.metadata;
  return typeof metadata?.resourceVersion === 'string';
}
