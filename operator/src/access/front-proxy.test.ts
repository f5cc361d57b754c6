/** Real TLS: whose word about a user counts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { type Authority, createAuthority, type IssuedServer, issueServer } from '@cloudlet/tunnel';
import { type FrontProxyTrust, type User, userOf } from './front-proxy.ts';

// Any authority will do; the names in its certificates are `edge:hub` and `edge:access`.
let authority: Authority;
let serving: IssuedServer;
let proxy: IssuedServer;
let seen: User | undefined;
let trust: FrontProxyTrust;
let port = 0;
const server = createServer({ requestCert: true, rejectUnauthorized: false });

before(async () => {
  authority = await createAuthority();
  serving = await issueServer(authority, { role: 'access', hosts: ['127.0.0.1'] });
  proxy = await issueServer(authority, { role: 'hub', hosts: [] });
  trust = {
    ca: authority.certificatePem,
    allowedNames: ['edge:hub'],
    userHeaders: ['X-Remote-User'],
    groupHeaders: ['X-Remote-Group'],
  };
  const { certificatePem: cert, keyPem } = serving;
  server.setSecureContext({ cert, key: keyPem.reveal(), ca: trust.ca });
  server.on('request', (request: IncomingMessage, response) => {
    seen = userOf(request, trust);
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

after(() => server.close());

async function seenFrom(peer: IssuedServer | undefined, headers = {}): Promise<User | undefined> {
  seen = undefined;
  const call = httpsRequest({
    ...{ host: '127.0.0.1', port, ca: authority.certificatePem, agent: false },
    headers: { 'x-remote-user': 'ann', 'x-remote-group': ['dev', 'ops'], ...headers },
    ...(peer ? { cert: peer.certificatePem, key: peer.keyPem.reveal() } : {}),
  });
  const [response] = (await once(call.end(), 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  return seen;
}

test('the front proxy is believed about user and groups', async () => {
  assert.deepEqual(await seenFrom(proxy), { name: 'ann', groups: ['dev', 'ops'] });
});

test('nobody else is: no certificate, another name, another authority', async () => {
  assert.equal(await seenFrom(undefined), undefined);
  assert.equal(await seenFrom(serving), undefined);
  const other = await issueServer(await createAuthority(), { role: 'hub', hosts: [] });
  assert.equal(await seenFrom(other), undefined);
});

test('a request without a user is nobody', async () => {
  assert.equal(await seenFrom(proxy, { 'x-remote-user': '' }), undefined);
});

test('where no names are published any certificate of the authority is believed', async () => {
  trust = { ...trust, allowedNames: [] };
  assert.equal((await seenFrom(serving))?.name, 'ann');
});
