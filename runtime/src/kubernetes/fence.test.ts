import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError } from '../base/index.ts';
import { fencedClient } from './fence.ts';
import type { KubernetesClient, KubernetesObject, ResourceClient } from './types.ts';

const type = { group: '', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true };
const object = { metadata: { name: 'one', namespace: 'n' } };

/** Says which calls arrived. */
function recording() {
  const calls: string[] = [];
  const answer = (name: string) => async (): Promise<KubernetesObject> => {
    calls.push(name);
    return object;
  };
  const verbs = ['get', 'list', 'create', 'replace', 'apply', 'mergePatch', 'delete'] as const;
  const resource = Object.fromEntries(verbs.map((verb) => [verb, answer(verb)]));
  const client = {
    server: 'https://api',
    resource: () => ({ type, ...resource }) as unknown as ResourceClient<KubernetesObject>,
    request: async (method: string) => void calls.push(method),
  } as unknown as KubernetesClient;
  return { calls, client };
}

test('reads pass and no write does while another may lead', async () => {
  const { calls, client } = recording();
  let mayWrite = false;
  const fenced = fencedClient(client, () => {
    if (!mayWrite) throw new ConflictError('another may lead');
  });
  const things = fenced.resource(type);
  const writes = [
    () => things.create(object),
    () => things.replace(object),
    () => things.apply(object, { fieldManager: 'f' }),
    () => things.mergePatch('one', 'n', {}),
    () => things.delete('one', 'n'),
    () => fenced.request('POST', '/x'),
  ];
  await things.get('one', 'n');
  await things.list();
  await fenced.request('GET', '/x');
  for (const write of writes) await assert.rejects(write, /another may lead/);
  assert.deepEqual(calls.splice(0), ['get', 'list', 'GET']);
  mayWrite = true;
  for (const write of writes) await write();
  assert.deepEqual(calls, ['create', 'replace', 'apply', 'mergePatch', 'delete', 'POST']);
});
