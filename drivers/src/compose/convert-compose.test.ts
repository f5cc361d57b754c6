/** What the conversion does beyond `docker stack deploy`, and every mistake by its path. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Plan } from '@cloudlet/crds';
import { DriverError } from '@cloudlet/runtime/base';
import { ComposeError, type ComposeInput, convertCompose, convertPlan } from './index.ts';

function convert(text: string, input: Partial<ComposeInput> = {}) {
  return convertCompose({ text, stack: 'shop-ab12c', ...input });
}

/** The only service's spec. */
function specOf(text: string, input: Partial<ComposeInput> = {}) {
  const [service] = convert(text, input).services;
  assert.ok(service);
  return service.spec;
}

function mistakesOf(text: string, input: Partial<ComposeInput> = {}): Record<string, string> {
  try {
    convert(text, input);
  } catch (error) {
    assert.ok(error instanceof ComposeError && error instanceof DriverError);
    assert.deepEqual([error.reason, error.permanent], ['InvalidCompose', true]);
    return Object.fromEntries(error.mistakes.map(({ path, message }) => [path, message]));
  }
  return assert.fail('the file was accepted');
}

const one = (body: string) =>
  `services:\n  web:\n    image: nginx\n${body.replace(/^/gm, '    ')}\n`;

describe('mistakes', () => {
  test('are listed all at once, each with its path and what to write instead', () => {
    const mistakes = mistakesOf(`
services:
  web:
    image: nginx
    ports: ["80", "8080:eighty"]
    deploy: {replicas: many, resources: {limits: {memory: lots}}}
    healthchek: {test: "true"}
  api:
    extends: {service: web}
`);
    assert.deepEqual(Object.keys(mistakes).sort(), [
      'services.api',
      'services.api.extends',
      'services.web.deploy.replicas',
      'services.web.deploy.resources.limits.memory',
      'services.web.healthchek',
      'services.web.ports[1]',
    ]);
    assert.match(mistakes['services.web.healthchek'] ?? '', /did you mean `healthcheck`/);
    assert.match(mistakes['services.web.ports[1]'] ?? '', /"8080:80"/);
    assert.match(mistakes['services.api.extends'] ?? '', /YAML anchor/);
  });

  test('stay readable when there are very many', () => {
    const keys = Array.from({ length: 500 }, (_, index) => `    nosuch${index}: 1`).join('\n');
    const text = `services:\n  web:\n    image: nginx\n${keys}\n`;
    assert.throws(
      () => convert(text),
      (error: ComposeError) => {
        assert.equal(error.mistakes.length, 100);
        assert.match(error.message, /and 80 more$/);
        return error.message.length < 16_000;
      },
    );
  });

  test('never quote a value that a variable brought in', () => {
    const secretEnv = { PASSWORD: 'hunter2' };
    const fields = ['deploy: {replicas: "${PASSWORD}"}', 'stop_grace_period: "${PASSWORD}"']
      .concat('ports: ["${PASSWORD}"]', 'labels: {a: "${PASSWORD}"}', 'hostname: "${PASSWORD}"')
      .concat('networks: ["${PASSWORD}"]', 'volumes: ["${PASSWORD}:/x"]', 'restart: "${PASSWORD}"');
    for (const field of fields)
      assert.doesNotMatch(JSON.stringify(mistakesOf(one(field), { secretEnv })), /hunter2/);
    for (const field of fields)
      try {
        convert(one(field), { env: secretEnv });
      } catch (error) {
        assert.doesNotMatch((error as Error).message, /hunter2/, field);
      }
  });

  test('name the line of what is no YAML and of a key that is there twice', () => {
    assert.match(mistakesOf('services:\n  a: {image: x')[''] ?? '', /^line [23]: /);
    assert.match(
      mistakesOf('services:\n  a: {image: x}\n  a: {image: y}')['services.a'] ?? '',
      /^line 3: .*twice/,
    );
  });

  test('of the stack name are refused before anything else', () => {
    assert.match(
      mistakesOf(one('tty: true'), { stack: 'no spaces' })[''] ?? '',
      /name of the stack/,
    );
  });

  test('tell that names are too long for the engine', () => {
    const long = 'x'.repeat(60);
    const files = new Map([['f', new Uint8Array([1])]]);
    const text = `services:\n  ${long}: {image: a}\nconfigs:\n  ${long}: {file: f}\n`;
    assert.deepEqual(Object.keys(mistakesOf(text, { files })).sort(), [
      `configs.${long}`,
      `services.${long}`,
    ]);
  });
});

describe('keys of the Compose specification', () => {
  test('are read into what a swarm has for them, and noted', () => {
    const text = one(
      'cpus: 0.5\nmem_limit: 64m\nmem_reservation: 32m\npids_limit: 50\nscale: 3\ngroup_add: [audio, 1000]',
    );
    const { services, warnings } = convert(text);
    const { TaskTemplate, Mode } = services[0]?.spec ?? assert.fail();
    assert.deepEqual(TaskTemplate.Resources, {
      Limits: { NanoCPUs: 500_000_000, MemoryBytes: 67_108_864, Pids: 50 },
      Reservations: { MemoryBytes: 33_554_432 },
    });
    assert.deepEqual(Mode, { Replicated: { Replicas: 3 } });
    assert.deepEqual(TaskTemplate.ContainerSpec.Groups, ['audio', '1000']);
    const paths = warnings.map((warning) => warning.split(':')[0]);
    for (const key of ['cpus', 'mem_limit', 'mem_reservation', 'pids_limit', 'scale', 'group_add'])
      assert.ok(paths.includes(`services.web.${key}`), key);
  });

  test('that say the same as a key of deploy are refused', () => {
    const mistakes = mistakesOf(one('mem_limit: 1g\ndeploy: {resources: {limits: {memory: 2g}}}'));
    assert.match(mistakes['services.web.mem_limit'] ?? '', /keep that one/);
  });

  test('without a meaning on a swarm are noted and change nothing', () => {
    const text = one(
      'platform: linux/arm64\npull_policy: always\ndepends_on: {db: {condition: service_healthy}}',
    );
    assert.equal(convert(text).warnings.length, 3);
    assert.deepEqual(specOf(text), specOf(one('tty: false')));
  });

  test('a service that waits for a profile is left out and told', () => {
    const { services, warnings } = convert(
      'name: shop\nservices:\n  a: {image: a}\n  debug: {image: b, profiles: [debug]}',
    );
    assert.deepEqual(
      services.map(({ name }) => name),
      ['a'],
    );
    assert.ok(warnings.some((warning) => warning.startsWith('services.debug.profiles: ')));
    assert.ok(warnings.some((warning) => warning.startsWith('name: ')));
  });

  test('configs may have their content in the file, or in a variable', () => {
    const { configs, secrets } = convert(
      'services:\n  a: {image: a, configs: [c], secrets: [s]}\nconfigs:\n  c: {content: "v=${V}"}\nsecrets:\n  s: {environment: TOKEN}\n',
      { env: { V: '7' }, secretEnv: { TOKEN: 't0ken' }, cliNames: true },
    );
    assert.equal(configs[0]?.spec?.Data, Buffer.from('v=7').toString('base64'));
    assert.equal(secrets[0]?.spec?.Data, Buffer.from('t0ken').toString('base64'));
  });

  test('env_file has a long form, and may be missing where it is not required', () => {
    const files = new Map([['./a.env', new TextEncoder().encode('A=1\r\nB=2')]]);
    const text = one('env_file: [{path: a.env}, {path: none.env, required: false}]');
    assert.deepEqual(specOf(text, { files }).TaskTemplate.ContainerSpec.Env, ['A=1', 'B=2']);
  });
});

describe('variables', () => {
  const value = (template: string, env: Record<string, string> = {}) =>
    specOf(one(`hostname: '${template}'`), { env }).TaskTemplate.ContainerSpec.Hostname;

  test('are filled as a shell would', () => {
    const env = { A: 'a', E: '' };
    const cases: readonly (readonly [string, string | undefined])[] = [
      ['${A}', 'a'],
      ['$A-', 'a'],
      ['${E:-d}', 'd'],
      ['${E-d}', undefined],
      ['${N-d}', 'd'],
      ['${N:-d}', 'd'],
      ['${A:+x}', 'x'],
      ['${E:+x}', undefined],
      ['${E+x}', 'x'],
      ['${N+x}', undefined],
      ['$$A', '$A'],
      ['${A:?no}', 'a'],
      ['${E?no}', undefined],
      ['x${N}y', 'xy'],
    ];
    for (const [template, expected] of cases)
      assert.equal(value(template, env), expected, template);
  });

  test('that are missing are told of once, with the path', () => {
    const { warnings } = convert(one('hostname: "${NO}${NO}"'));
    assert.deepEqual(warnings, [
      'services.web.hostname: the variable NO is not set and counts as empty',
    ]);
  });

  test('that are required say so', () => {
    const mistakes = mistakesOf(one('hostname: "${NO:?set it to the host}"'));
    assert.match(mistakes['services.web.hostname'] ?? '', /NO is required: set it to the host/);
  });

  test('of a value are not filled a second time', () => {
    assert.equal(value('${A}', { A: '${B}' }), '${B}');
  });

  test('that are secret reach the containers, never labels or names', () => {
    const secretEnv = { TOKEN: 't0ken' };
    const spec = specOf(one('environment: {T: "${TOKEN}"}\ncommand: "run ${TOKEN}"'), {
      secretEnv,
    });
    assert.deepEqual(spec.TaskTemplate.ContainerSpec.Env, ['T=t0ken']);
    assert.deepEqual(spec.TaskTemplate.ContainerSpec.Args, ['run', 't0ken']);
    const mistakes = mistakesOf(one('labels: {t: "${TOKEN}"}\nhostname: $TOKEN'), { secretEnv });
    assert.deepEqual(Object.keys(mistakes).sort(), [
      'services.web.hostname',
      'services.web.labels.t',
    ]);
  });
});

describe('configs and secrets', () => {
  const text = (name: string) =>
    `services:\n  a: {image: a, configs: [c], secrets: [s]}\nconfigs:\n  c: {file: c${name}}\nsecrets:\n  s: {file: s${name}}\n`;
  const files = new Map(
    ['c1', 'c2', 's1', 's2'].map((name) => [name, new TextEncoder().encode(name)]),
  );

  test('have a hash of their content in the name, so that new content is a new object', () => {
    const [first, again, other] = [text('1'), text('1'), text('2')].map((file) =>
      convert(file, { files }),
    );
    assert.match(first?.configs[0]?.name ?? '', /^shop-ab12c_c-[0-9a-f]{10}$/);
    assert.match(first?.secrets[0]?.name ?? '', /^shop-ab12c_s-[0-9a-f]{10}$/);
    assert.deepEqual(first, again);
    assert.notEqual(first?.configs[0]?.name, other?.configs[0]?.name);
    assert.notEqual(first?.secrets[0]?.name, other?.secrets[0]?.name);
    const container = first?.services[0]?.spec.TaskTemplate.ContainerSpec;
    assert.equal(container?.Configs?.[0]?.ConfigName, first?.configs[0]?.name);
    assert.equal(container?.Secrets?.[0]?.File.Name, 's');
  });

  test('of another key have other names for secrets, so that a guess cannot be tested', () => {
    const names = ['one', 'two'].map(
      (nameKey) => convert(text('1'), { files, nameKey }).secrets[0]?.name,
    );
    assert.notEqual(names[0], names[1]);
  });

  test('that are empty or too large are refused', () => {
    const content = new Map([
      ['c1', new Uint8Array(0)],
      ['s1', new Uint8Array(512_000)],
    ]);
    assert.deepEqual(Object.keys(mistakesOf(text('1'), { files: content })), [
      'configs.c',
      'secrets.s',
    ]);
  });
});

describe('relative paths', () => {
  test('of a node are refused, for no node has the folder', () => {
    const mistakes = mistakesOf(one('volumes: ["./data:/data"]'));
    assert.match(mistakes['services.web.volumes[0]'] ?? '', /named volume/);
  });
});

const plan: Plan = {
  id: 'id-1',
  sequence: 1,
  object: { namespace: 'acme', name: 'shop', uid: 'uid-1', generation: 1 },
  cloudlet: 'site',
  app: { name: 'shop', version: '1', revision: 'shop-1' },
  workload: { kind: 'Compose', compose: one('environment: {OWN: file, A: "${A}"}') },
  env: { A: 'app', OWN: 'app' },
  secretEnv: { S: 'secret' },
};

describe('a plan of a compose file', () => {
  test('gives its variables to every container, but for what the file sets itself', () => {
    const { services, warnings } = convertPlan(plan, { stack: 'shop-ab12c' });
    assert.deepEqual(services[0]?.spec.TaskTemplate.ContainerSpec.Env, [
      'A=app',
      'OWN=file',
      'S=secret',
    ]);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^services\.web\.environment\.OWN: /);
  });
});
