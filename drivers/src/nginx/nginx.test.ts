import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frontend, Server } from '../haproxy/model.ts';
import { portsIn, renderConfig } from './config.ts';

const server = (port: number, isLeaving = false): Server => ({
  key: `t${port}`,
  address: '192.0.2.1',
  port,
  isLeaving,
});
const frontend = (publicPort: number, servers: readonly Server[]): Frontend => ({
  name: `abcde-1.dns.${publicPort}`,
  instance: 'abcde-1',
  port: 'dns',
  publicPort,
  mode: 'udp',
  check: { type: 'None' },
  servers,
});
const render = (frontends: readonly Frontend[], ipv6 = false) => renderConfig(frontends, { ipv6 });

test('a UDP port sends each client to one of the tasks', () => {
  const text = render([frontend(10053, [server(32768), server(32769)])]);
  assert.match(text, /upstream abcde-1\.dns\.10053 \{\n {4}hash \$remote_addr consistent;/);
  assert.match(text, /server 192\.0\.2\.1:32768 max_fails=0;\n {4}server 192\.0\.2\.1:32769/);
  assert.match(text, /listen 10053 udp;\n {4}proxy_pass abcde-1\.dns\.10053;/);
});

test('a task that was told to stop gets datagrams only while there is no other', () => {
  assert.doesNotMatch(render([frontend(10053, [server(1, true), server(2)])]), /192\.0\.2\.1:1 /);
  assert.match(render([frontend(10053, [server(1, true)])]), /192\.0\.2\.1:1 /);
});

test('a port without a task is closed', () => {
  const text = render([frontend(10053, [])]);
  assert.doesNotMatch(text, /listen|upstream/);
});

test('the ports of a configuration are read back from its text', () => {
  const some = [frontend(10053, [server(1)]), frontend(10054, []), frontend(10055, [server(2)])];
  assert.deepEqual(portsIn(render(some)), [10053, 10055]);
  assert.deepEqual(portsIn(render(some, true)), [10053, 10055]);
  assert.deepEqual(portsIn(''), []);
});
