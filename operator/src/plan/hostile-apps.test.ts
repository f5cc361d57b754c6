/**
 * Whatever an App's author writes into any of its fields: the API refuses it, or the plan carries it as a
 * value. No template is filled in twice, no secret leaves its place, no name reaches another instance. Fields
 * are replaced from a fixed seed; `HOSTILE_ROUNDS` and `HOSTILE_SEED` widen it. What drivers make of such
 * plans: `drivers/src/docker-swarm/hostile-plans.test.ts`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppInst,
  appInstKind,
  appKind,
  type AppSpec,
  plan as planSchema,
} from '@cloudlet/crds';
import { TerminalError, WaitingError } from '@cloudlet/runtime/base';
import { anAppInst, aRevision } from '../builders.ts';
import { renderPlan } from './render.ts';
import { envTarget, fileTarget } from './secrets.ts';
import { checkTemplates } from './templates.ts';

const rounds = Number(process.env['HOSTILE_ROUNDS'] ?? 4_000);
const seed = Number(process.env['HOSTILE_SEED'] ?? 11);
const canary = 'canary-value-of-a-secret';

const texts = [
  ...[
    'a\nb',
    'a\r\nHost: x',
    '\u0000',
    '\u001b[2J',
    '\u202e',
    '../../etc/passwd',
    '/a/../../b',
    '..',
  ],
  ...['$(id)', '`id`', '; id #', '| id', '&& id', '--privileged', "'", '"', '\\', '%s%n'],
  ...['{{instance.id}}', '{{ uri }}', '{{{{uri}}}}', '{{constructor}}', '{{__proto__}}', '{{uri'],
  ...['\\{{uri}}', '{{.Node.Hostname}}', '{{secret}}', '{{toString}}', '${PATH}', '$$', '{{}}'],
  ...['__proto__', 'constructor', 'a'.repeat(40_000), '', ' ', '"},{"kind":"x"', '- x\n- y'],
] as const;

const spec: AppSpec = {
  version: '1',
  deployment: 'Docker',
  image: 'registry.example/web:1',
  command: ['/bin/web'],
  args: ['--listen', ':80'],
  env: [
    { name: 'PLAIN', value: 'of {{instance.name}} at {{cloudlet.name}}' },
    { name: 'TOKEN', secretKeyRef: { name: 'keys', key: 'token' } },
  ],
  files: [
    { path: '/etc/web/conf', content: 'uri {{uri}}' },
    { path: '/etc/web/key', secretKeyRef: { name: 'keys', key: 'file' } },
  ],
  ports: [{ name: 'http', protocol: 'HTTP', port: 80, healthCheck: { type: 'HTTP', path: '/ok' } }],
  architectures: ['linux/amd64'],
  updateTimeout: '5m',
  imagePullSecretRef: { name: 'pull' },
  defaultFlavorRef: { name: 'small' },
};

const instance: AppInst['spec'] = {
  appRef: { name: 'web' },
  env: [{ name: 'OWN', value: '{{ports.http}}' }],
  cloudletRef: { name: 'edge1' },
  replicas: 2,
};

function randomFrom(state: number): () => number {
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A copy with one or two of its texts replaced, or continued. */
function mutated<T>(value: T, random: () => number): T {
  const copy = structuredClone(value);
  const places: ((text: string) => void)[] = [];
  const walk = (at: unknown): void => {
    if (at === null || typeof at !== 'object') return;
    for (const [key, inner] of Object.entries(at)) {
      const holder = at as Record<string, unknown>;
      if (typeof inner === 'string')
        places.push((text) => void (holder[key] = random() < 0.5 ? text : inner + text));
      walk(inner);
    }
  };
  walk(copy);
  for (let times = random() < 0.5 ? 1 : 2; times > 0; times--)
    places[Math.floor(random() * places.length)]?.(
      texts[Math.floor(random() * texts.length)] ?? '',
    );
  return copy;
}

function secretCopy(app: AppSpec) {
  const data: Record<string, string> = {};
  const value = Buffer.from(`${canary} {{uri}}`).toString('base64');
  for (const { name, secretKeyRef } of app.env ?? [])
    if (secretKeyRef) data[envTarget(name)] = value;
  for (const { path, secretKeyRef } of app.files ?? [])
    if (secretKeyRef) data[fileTarget(path)] = value;
  return { metadata: { name: 'copy-1', namespace: 'cloudlet-secrets' }, data };
}

const appInstOf = (own: AppInst['spec']): AppInst =>
  anAppInst({
    spec: own,
    status: {
      placement: { cloudlet: 'edge1', sequence: 4 },
      ports: [{ name: 'http', protocol: 'HTTP', port: 80, publicPort: 10_001 }],
      rollout: {
        ...{ revision: 'web-1', sequence: 4, generation: 1 },
        secret: 'copy-1',
        host: '203.0.113.7',
      },
    },
  });

test('every text of an App and its AppInst is refused or stays a value', () => {
  const random = randomFrom(seed);
  const outcomes = { schema: 0, template: 0, planned: 0 };
  for (let round = 0; round < rounds; round++) {
    const isOwn = random() < 0.2;
    const app = appKind.spec.safeParse(isOwn ? spec : mutated(spec, random));
    const own = appInstKind.spec.safeParse(isOwn ? mutated(instance, random) : instance);
    if (!app.success || !own.success) {
      outcomes.schema++;
      continue;
    }
    try {
      checkTemplates(app.data);
      const plan = renderPlan({
        appInst: appInstOf(own.data),
        revision: aRevision(app.data),
        secret: secretCopy(app.data),
      });
      outcomes.planned++;
      const { secretEnv, files, ...open } = plan;
      assert.equal(planSchema.safeParse(plan).success, true, 'agents accept every plan');
      assert.ok(!JSON.stringify(open).includes(canary), 'a secret outside of its place');
      for (const value of Object.values(secretEnv ?? {}))
        assert.equal(value, `${canary} {{uri}}`, 'secrets are no templates');
      for (const file of files ?? []) {
        assert.equal(file.secret === true, file.content.includes(canary));
        assert.equal(
          file.content.includes(canary) ? file.content : '',
          file.secret ? `${canary} {{uri}}` : '',
        );
      }
      const { id, object, cloudlet, app: of } = plan;
      assert.deepEqual(
        [id, object.name, cloudlet, of.revision],
        ['id-web', 'web', 'edge1', 'web-1'],
      );
      assert.equal(Object.getPrototypeOf(plan.env ?? {}), Object.prototype);
    } catch (error) {
      assert.ok(
        error instanceof TerminalError || error instanceof WaitingError,
        `round ${round}: ${String(error)}`,
      );
      outcomes.template++;
    }
  }
  assert.ok(Math.min(...Object.values(outcomes)) > rounds / 200, JSON.stringify(outcomes));
});

test('what a template gives is not a template again', () => {
  const app = {
    ...spec,
    env: [{ name: 'A', value: '{{app.version}} {{instance.name}}' }],
    files: [],
  };
  const revision = aRevision({ ...app, version: '1' });
  // The API refuses such a version; a revision that was written around it must not escape either.
  const around = { ...revision, data: { spec: { ...app, version: '{{uri}}' } } };
  const plan = renderPlan({
    appInst: appInstOf(instance),
    revision: around,
    secret: secretCopy(app),
  });
  assert.equal(plan.env?.['A'], '{{uri}} web');
});
