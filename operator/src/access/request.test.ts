import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidError, NotFoundError } from '@cloudlet/runtime/base';
import { accessRoot, documentAt } from './discovery.ts';
import { parseAccessRequest } from './request.ts';

const parse = (path: string) => parseAccessRequest(new URL(`https://access${accessRoot}${path}`));
const web = '/namespaces/shop/appinsts/web';
const target = { kind: 'appinst', namespace: 'shop', name: 'web' };

test('exec takes the parameters that kubectl sends for a pod', () => {
  const query = 'command=sh&command=-c&command=ls+%2F&container=web.1&stdin=true&tty=1&stdout=true';
  assert.deepEqual(parse(`${web}/exec?${query}`), {
    target,
    parameters: {
      kind: 'exec',
      target: 'web.1',
      argv: ['sh', '-c', 'ls /'],
      tty: true,
      stdin: true,
    },
  });
});

test('log takes how much and how long', () => {
  const query = 'follow=true&timestamps=false&tailLines=10&sinceSeconds=60';
  assert.deepEqual(parse(`${web}/log?${query}`), {
    target,
    parameters: { kind: 'logs', follow: true, tailLines: 10, sinceSeconds: 60 },
  });
});

test('portforward takes a port, and shell a Cloudlet', () => {
  assert.deepEqual(parse(`${web}/portforward?port=80`).parameters, {
    kind: 'portforward',
    port: 80,
  });
  assert.deepEqual(parse('/cloudlets/north/shell?tty=true'), {
    target: { kind: 'cloudlet', name: 'north' },
    parameters: { kind: 'shell', tty: true },
  });
});

for (const [what, path, sentence] of [
  ['exec without a command', `${web}/exec`, /command/],
  ['portforward without a port', `${web}/portforward`, /port/],
  ['a port that is none', `${web}/portforward?port=70000`, /port/],
  ['a number that is none', `${web}/log?tailLines=many`, /tailLines/],
  ['a flag that is none', `${web}/log?follow=maybe`, /follow/],
  ['more arguments than a site takes', `${web}/exec?${'command=a&'.repeat(300)}`, /argv/],
  ['a path that is not well encoded', '/namespaces/%zz/appinsts/web/log', /encoded/],
] as const)
  test(`${what} is refused by name`, () => {
    assert.throws(
      () => parse(path),
      (error) => {
        assert.ok(error instanceof InvalidError);
        assert.match(error.message, sentence);
        return true;
      },
    );
  });

for (const path of ['', '/namespaces/shop/appinsts/web', '/cloudlets/north/exec', `${web}/attach`])
  test(`there is nothing at '${path}'`, () => assert.throws(() => parse(path), NotFoundError));

test('another group or version is not ours', () => {
  const url = new URL('https://access/apis/other/v1/namespaces/a/appinsts/b/log');
  assert.throws(() => parseAccessRequest(url), NotFoundError);
  assert.equal(documentAt('/apis/other'), undefined);
});

test('discovery names every resource that a request can name', () => {
  const list = documentAt(accessRoot) as { resources: { name: string; namespaced: boolean }[] };
  assert.deepEqual(
    list.resources.map(({ name, namespaced }) => [name, namespaced]),
    [
      ['appinsts/exec', true],
      ['appinsts/log', true],
      ['appinsts/portforward', true],
      ['cloudlets/shell', false],
    ],
  );
});
