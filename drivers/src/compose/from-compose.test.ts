/** An App for a compose file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appInstSpec, appSpec } from '@cloudlet/crds';
import { appFromCompose, composeFiles, ComposeError, convertCompose } from './index.ts';
import { corpus, corpusEnv, corpusFiles } from './testdata/corpus.ts';

const shop = corpus('corpus').find(({ name }) => name === 'coffee-shop.yml')?.text ?? '';

test('a compose file becomes an App with its ports, variables and files', () => {
  const { app, appInst, notes } = appFromCompose(shop, {
    name: 'coffee',
    namespace: 'acme',
    zone: 'town',
    env: { SHOP_TAG: '2.0', HOME: '/home/cloudlet' },
    files: corpusFiles(),
  });
  assert.deepEqual(app.metadata, { name: 'coffee', namespace: 'acme' });
  assert.equal(app.spec.compose, shop);
  assert.deepEqual(app.spec.env, [{ name: 'SHOP_TAG', value: '2.0' }]);
  assert.deepEqual(app.spec.ports, [{ name: 'http', protocol: 'TCP', port: 80, service: 'web' }]);
  assert.deepEqual(app.spec.files, [
    {
      path: './files/password.txt',
      secretKeyRef: { name: 'coffee-files', key: 'files.password.txt' },
    },
    { path: './files/site.conf', content: 'server {\n  listen 80;\n}\n' },
  ]);
  assert.deepEqual(appInst.spec, { appRef: { name: 'coffee' }, zoneRef: { name: 'town' } });
  assert.ok(notes.some((note) => /http: was published as 8080/.test(note)));
  assert.ok(notes.some((note) => /coffee-files, which you have to create/.test(note)));
  assert.doesNotMatch(JSON.stringify(app), /correct horse/);
});

test('what looks secret is taken from a Secret', () => {
  const text = 'services: {a: {image: a, environment: {P: "${DB_PASSWORD}"}}}';
  const { app } = appFromCompose(text, { name: 'a', env: { DB_PASSWORD: 'hunter2' } });
  assert.deepEqual(app.spec.env, [
    { name: 'DB_PASSWORD', secretKeyRef: { name: 'a-env', key: 'DB_PASSWORD' } },
  ]);
  assert.doesNotMatch(JSON.stringify(app), /hunter2/);
});

test('ports get names that are short and unique, and runs become ranges', () => {
  const text = `
services:
  a-very-long-service-name: {image: a, ports: ["80:80", "81:80", "8080:8080/udp"]}
  b: {image: b, ports: ["80", "7000-7004:7000-7004"]}
`;
  const { app } = appFromCompose(text, { name: 'a', cloudlet: 'site' });
  assert.deepEqual(app.spec.ports, [
    { name: 'http', protocol: 'TCP', port: 80, service: 'a-very-long-service-name' },
    { name: 'a-very-lo-8080u', protocol: 'UDP', port: 8080, service: 'a-very-long-service-name' },
    { name: 'b-80', protocol: 'TCP', port: 80, service: 'b' },
    { name: 'b-7000', protocol: 'TCP', port: 7000, endPort: 7004, service: 'b' },
  ]);
});

test('the App of every file of the corpus that needs no path of a node fits the schema and converts', () => {
  let converted = 0;
  for (const { name, text } of corpus('corpus')) {
    if (name === 'volumes-relative.yml') continue;
    const { app, appInst } = appFromCompose(text, {
      name: 'app',
      env: corpusEnv,
      files: corpusFiles(),
    });
    const spec = appSpec.parse(app.spec);
    appInstSpec.parse(appInst.spec);
    const ports = (spec.ports ?? []).map((port) => ({ ...port, publicPort: port.port }));
    convertCompose({ text, stack: 'app', env: corpusEnv, files: corpusFiles(), ports });
    converted += 1;
  }
  assert.ok(converted > 50);
});

test('the files that a compose file names are known before they are read', () => {
  assert.deepEqual(composeFiles(shop), ['./files/site.conf', './files/password.txt']);
});

test('a file that cannot be run is refused', () => {
  assert.throws(() => appFromCompose('services: {}', { name: 'a' }), ComposeError);
});
