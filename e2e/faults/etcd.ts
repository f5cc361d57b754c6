/** What the bed does to the region's store, by etcd's own HTTP gateway. */
export interface Etcd {
  revision(): Promise<number>;
  /** All revisions before now are gone. */
  compact(): Promise<void>;
  /** Makes revisions until there are as many. */
  raise(least: number): Promise<void>;
  /** Takes what is at the key, whatever the API server would say. */
  remove(key: string): Promise<void>;
}

interface Header {
  readonly header: { readonly revision: string };
}

const callMs = 10_000;
const putsAtOnce = 32;

export function etcdOf(url: string, signal: AbortSignal): Etcd {
  const post = async (path: string, body: object): Promise<unknown> => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(callMs)]);
    const init = { method: 'POST', body: JSON.stringify(body), signal: within };
    const response = await fetch(`${url}${path}`, init);
    if (!response.ok) throw new Error(`etcd says ${response.status}: ${await response.text()}`);
    return response.json();
  };
  const revision = async (): Promise<number> =>
    Number(((await post('/v3/maintenance/status', {})) as Header).header.revision);
  const put = (): Promise<unknown> => post('/v3/kv/put', { key: aside, value: '' });
  return {
    revision,
    async compact() {
      await post('/v3/kv/compaction', { revision: String(await revision()), physical: true });
    },
    async raise(least) {
      for (let left = least - (await revision()); left > 0; left -= putsAtOnce)
        await Promise.all(Array.from({ length: Math.min(left, putsAtOnce) }, put));
    },
    async remove(key) {
      await post('/v3/kv/deleterange', { key: Buffer.from(key).toString('base64') });
    },
  };
}

/** A key that the API server does not look at. */
const aside = Buffer.from('/faults/aside').toString('base64');
