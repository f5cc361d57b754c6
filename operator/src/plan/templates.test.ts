import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TerminalError, WaitingError } from '@cloudlet/runtime/base';
import { anAppSpec } from '../builders.ts';
import { checkTemplates, fillTemplates, usesTemplate } from './templates.ts';

const values = { 'cloudlet.name': 'edge1', 'ports.http': '8080', uri: undefined };
const fill = (text: string): string => fillTemplates(text, values, 'spec.env[A].value');

test('names are filled in, with or without spaces', () => {
  assert.equal(fill('{{cloudlet.name}}:{{ ports.http }}'), 'edge1:8080');
});

test("the swarm's own placeholders stay as they are", () => {
  assert.equal(fill('{{.Node.Hostname}}-{{cloudlet.name}}'), '{{.Node.Hostname}}-edge1');
});

test('a backslash keeps a brace', () => {
  assert.equal(fill('\\{{ cloudlet.name }}'), '{{ cloudlet.name }}');
});

test('an unknown name is refused with the path and the names that there are', () => {
  assert.throws(
    () => fill('{{cloudlet.nam}}'),
    (error) =>
      error instanceof TerminalError &&
      error.reason === 'UnknownTemplate' &&
      error.message ===
        'spec.env[A].value: {{cloudlet.nam}} is not known; there are {{cloudlet.name}}, {{ports.http}}, {{uri}}',
  );
});

test('a value that is not known yet is waited for', () => {
  assert.throws(() => fill('{{uri}}'), WaitingError);
});

test('what is filled in is not looked at again', () => {
  assert.equal(fillTemplates('{{a}}', { a: '{{b}}' }, 'p'), '{{b}}');
});

for (const [title, spec, message] of [
  ['env', anAppSpec({ env: [{ name: 'A', value: '{{x}}' }] }), /spec\.env\[A\]\.value/],
  ['a file', anAppSpec({ files: [{ path: 'a.cfg', content: '{{x}}' }] }), /spec\.files\[a\.cfg\]/],
  ['compose', anAppSpec({ compose: 'a: {{x}}' }), /spec\.compose/],
  ['a port', anAppSpec({ env: [{ name: 'A', value: '{{ports.http}}' }] }), /\{\{ports\.http\}\}/],
] as const)
  test(`an unknown name in ${title} is refused before anything is placed`, () => {
    assert.throws(() => checkTemplates(spec), message);
  });

test('the port of an App may be named', () => {
  const ports = [{ name: 'http', protocol: 'TCP' as const, port: 80 }];
  checkTemplates(anAppSpec({ ports, env: [{ name: 'A', value: '{{ports.http}} {{uri}}' }] }));
});

test('a template is found in the App and in the variables of the instance', () => {
  assert.equal(usesTemplate('uri', anAppSpec(), [{ value: 'x {{ uri }}' }]), true);
  assert.equal(usesTemplate('uri', anAppSpec({ compose: '{{uri}}' })), true);
  assert.equal(usesTemplate('uri', anAppSpec(), [{ value: 'uri' }]), false);
});
