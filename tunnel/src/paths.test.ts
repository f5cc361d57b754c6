/** The ways from a site to its region. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '@cloudlet/runtime/base';
import { createMemoryIdentityStore } from './identity/index.ts';
import { aRegion, eventually, linkOf } from './testing.ts';
import { aConnectProxy, anInterceptingProxy } from './testing-network.ts';
import { issuing } from './testing-enroll.ts';

test('the connection passes an HTTP proxy with a password', async () => {
  await using region = await aRegion();
  await using proxy = await aConnectProxy('jane:s%cret');
  const { client } = await region.agent({
    proxy: { url: `http://jane:s%25cret@${proxy.address}` },
  });
  await eventually('connected', () => client.connected);
  assert.equal(proxy.connections, 1);
});

test('an address that noProxy names is dialled directly', async () => {
  await using region = await aRegion();
  await using proxy = await aConnectProxy();
  const { client } = await region.agent({
    proxy: { url: `http://${proxy.address}`, noProxy: 'example.org, 127.0.0.1' },
  });
  await eventually('connected', () => client.connected);
  assert.equal(proxy.connections, 0);
});

test('where a proxy ends the TLS, the tunnel and the enrolment go inside a WebSocket', async () => {
  await using region = await aRegion();
  region.backend.onEnroll = issuing(region);
  await using hub = await anInterceptingProxy(region.hub);
  await using enroll = await anInterceptingProxy(region.enroll);
  const { client } = await region.agent({
    ...{ hub: hub.address, enroll: enroll.address },
    store: createMemoryIdentityStore(),
    caPin: region.authority.pin,
    token: new Secret('a token that is long enough'),
    random: () => 0,
  });
  const link = await linkOf(region);
  assert.equal(link.identity.cloudlet, 'site-1');
  await eventually('connected', () => client.connected);
  assert.ok(hub.connections >= 1 && enroll.connections >= 1);
});

test('a proxy inside the WebSocket way sees TLS and no certificate of ours', async () => {
  await using region = await aRegion();
  const stranger = await aRegion();
  await using hub = await anInterceptingProxy(stranger.hub);
  const { client, handler } = await region.agent({ hub: hub.address, firstWay: 'websocket' });
  await eventually('it was tried', () => hub.connections > 0);
  await eventually('it went back to dialling', () => hub.connections > 1);
  assert.equal(client.connected, false);
  assert.equal(handler.welcomes.length, 0);
  assert.equal(stranger.backend.links.length, 0);
  await stranger[Symbol.asyncDispose]();
});
