import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HealthServer, serveHealth } from './health.ts';

const metrics = { text: async () => 'edge_agent_connected 1\n', contentType: 'text/plain' };

const serve = (address: string, problems: readonly string[] = []): Promise<HealthServer> =>
  serveHealth({ address, problems: () => problems, metrics });

test('without a host every address of the machine answers, as the probes of a pod want', async () => {
  const health = await serve(':0');
  for (const host of ['127.0.0.1', '127.0.0.2', '[::1]'])
    assert.equal((await fetch(`http://${host}:${health.port}/healthz`)).status, 200, host);
  await health.close();
});

test('with a host that one alone answers, and says why the agent is not ready', async () => {
  const health = await serve('127.0.0.1:0', ['the engine does not answer']);
  const response = await fetch(`http://127.0.0.1:${health.port}/readyz`);
  assert.deepEqual([response.status, await response.text()], [503, 'the engine does not answer\n']);
  await assert.rejects(fetch(`http://127.0.0.2:${health.port}/healthz`));
  await health.close();
});

for (const address of ['9440', 'localhost', '127.0.0.1:', '127.0.0.1:70000', '::1:9440'])
  test(`'${address}' is refused as an address to listen on`, async () => {
    await assert.rejects(serve(address), { reason: 'InvalidFlags' });
  });
