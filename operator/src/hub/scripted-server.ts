/** An API server that answers as the test says, for the faults that a real one does not produce on demand. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import { createClient, type KubernetesClient } from '@cloudlet/runtime/kubernetes';

export interface ScriptedCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

export type Answer = (call: ScriptedCall) => readonly [code: number, body: object];

export interface ScriptedServer extends AsyncDisposable {
  readonly client: KubernetesClient;
  readonly calls: readonly ScriptedCall[];
}

export async function scriptedServer(answer: Answer): Promise<ScriptedServer> {
  const calls: ScriptedCall[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const received = await text(request);
      const body: unknown = received === '' ? undefined : JSON.parse(received);
      const { method = '', url: path = '', headers } = request;
      const call = { method, path, headers, body };
      calls.push(call);
      const [code, reply] = answer(call);
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify(reply));
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = createClient({
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'test',
    access: {
      server: `http://127.0.0.1:${port}`,
      namespace: undefined,
      proxyUrl: undefined,
      credentials: () => Promise.resolve({ headers: {}, tls: {} }),
    },
  });
  return {
    client,
    calls,
    async [Symbol.asyncDispose]() {
      await client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A metav1.Status of a refusal. */
export const failure = (code: number, reason: string, message: string) =>
  [code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }] as const;
