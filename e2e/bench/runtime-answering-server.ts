/**
 * A process that answers every HTTPS request at once with an object of the size of an AppInst. Started with the
 * files of its certificate and key; tells its port to its parent.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

const [certificate = '', key = ''] = process.argv.slice(2);
const answer = JSON.stringify({
  apiVersion: 'bench.cloudlet.dev/v1',
  kind: 'Probe',
  metadata: { name: 'probe', namespace: 'default', resourceVersion: '1', uid: 'u' },
  status: { text: 'x'.repeat(1_700) },
});

const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(answer);
    });
  },
);
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());
