/**
 * A client for one leader at a time: reads pass, and each write asks first whether it may still be made.
 *
 * Why: a process that was paused for longer than its Lease goes on, when it wakes, with what it decided before.
 * A write that is made again on newer ground, as the ledger's are after a conflict, would undo what the next
 * leader did meanwhile.
 */
import type { KubernetesClient, KubernetesObject, ResourceClient, ResourceType } from './types.ts';

/** @param assertMayWrite throws where a write may not be made; the write then fails with that error. */
export function fencedClient(
  client: KubernetesClient,
  assertMayWrite: () => void,
): KubernetesClient {
  return {
    server: client.server,
    resource: <T extends KubernetesObject>(type: ResourceType) =>
      fencedResource(client.resource<T>(type), assertMayWrite),
    async request(method, path, options) {
      if (method !== 'GET') assertMayWrite();
      return client.request(method, path, options);
    },
    stream: (path, options) => client.stream(path, options),
    close: () => client.close(),
  };
}

function fencedResource<T extends KubernetesObject>(
  inner: ResourceClient<T>,
  assertMayWrite: () => void,
): ResourceClient<T> {
  const fenced =
    <A extends readonly unknown[], R>(write: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      assertMayWrite();
      return write(...args);
    };
  return {
    type: inner.type,
    get: (...args) => inner.get(...args),
    list: (...args) => inner.list(...args),
    create: fenced((...args) => inner.create(...args)),
    replace: fenced((...args) => inner.replace(...args)),
    apply: fenced((...args) => inner.apply(...args)),
    mergePatch: fenced((...args) => inner.mergePatch(...args)),
    delete: fenced((...args) => inner.delete(...args)),
  };
}
