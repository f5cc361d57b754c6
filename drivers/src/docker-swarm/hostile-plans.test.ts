/**
 * Whatever an App's author, or a hub in the wrong hands, writes into a plan: it stays a value. It becomes no
 * line of a configuration, no name that leads elsewhere, no label of another instance and no folder of the
 * node. Fields are replaced from a fixed seed; `HOSTILE_ROUNDS` and `HOSTILE_SEED` widen it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plan as planSchema, type Plan } from '@cloudlet/crds';
import { DriverError } from '@cloudlet/runtime/base';
import { ComposeError, type StackPlan } from '../compose/index.ts';
import { renderConfig } from '../haproxy/config.ts';
import { frontendsOf } from '../haproxy/model.ts';
import { assignSlots } from '../haproxy/slots.ts';
import { instanceLabel, newStackName, stackLabel } from './names.ts';
import { desiredStack } from './stack.ts';

const rounds = Number(process.env['HOSTILE_ROUNDS'] ?? 3_000);
const seed = Number(process.env['HOSTILE_SEED'] ?? 7);

/** Texts that mean something to a shell, HAProxy, a template, a path, YAML or a terminal. */
export const hostileTexts = [
  'a\n  bind :22\nlisten evil',
  "'\n  server x 192.0.2.9:1",
  "/'; http-request return status 200",
  'x\r\nHost: evil',
  '$(touch /tmp/owned)',
  '`id`',
  '; rm -rf / #',
  '| nc 192.0.2.9 1',
  '../../../../etc/shadow',
  '/run/../../etc/passwd',
  '..',
  'a/../../b',
  '{{.Node.Hostname}}{{',
  '{{instance.id}}',
  '${PATH:?}',
  '$$(x)',
  '--privileged',
  '-v/:/host',
  '\u0000',
  '\u001b[2J',
  '\u202e\ufeff',
  '"},"Privileged":true,"x":{"',
  '&a *a <<: !!js/function x',
  '__proto__',
  'constructor',
  'a'.repeat(5_000),
  '',
  ' ',
] as const;

function randomFrom(state: number): () => number {
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const base: Plan = {
  id: 'abcde-1',
  sequence: 1,
  object: { namespace: 'shop', name: 'web', uid: 'abcde-1', generation: 1 },
  cloudlet: 'phones',
  cluster: { name: 'shop/part', nodeLabels: { gpu: 'yes' } },
  app: { name: 'web', version: '1', revision: 'web-1' },
  workload: { kind: 'Image', image: 'registry.example/web:1', command: ['/bin/web'], args: ['-v'] },
  replicas: 2,
  env: { HOME: '/srv' },
  secretEnv: { TOKEN: 'value' },
  files: [
    { path: '/etc/web/conf', content: 'x' },
    { path: '/run/key', content: 'eA==', encoding: 'base64', secret: true },
  ],
  ports: [
    { name: 'http', protocol: 'HTTP', port: 8080, publicPort: 10080 },
    {
      ...{ name: 'api', protocol: 'TCP', port: 9090, publicPort: 10090 },
      healthCheck: { type: 'HTTP', path: '/healthz' },
    },
  ],
  nameKey: 'key',
};

const compose: Plan = {
  ...base,
  workload: {
    kind: 'Compose',
    compose: JSON.stringify({
      services: {
        web: {
          ...{ image: 'web:1', command: ['run'], hostname: 'web', user: '1', working_dir: '/srv' },
          environment: { A: 'b' },
          labels: { mine: 'x' },
          ports: ['8080', '9090'],
          volumes: ['data:/data', { type: 'tmpfs', target: '/tmp' }],
          configs: [{ source: 'conf', target: '/etc/conf' }],
          secrets: [{ source: 'key', target: 'key' }],
          networks: { own: { aliases: ['w'] } },
          deploy: { labels: { theirs: 'y' }, placement: { constraints: ['node.role == worker'] } },
        },
      },
      volumes: {
        data: {
          name: 'data',
          labels: { l: 'v' },
          driver_opts: { type: 'nfs', o: 'addr=192.0.2.1', device: ':/x' },
        },
      },
      configs: { conf: { file: '/etc/web/conf', name: 'conf' } },
      secrets: { key: { file: '/run/key' } },
      networks: { own: { name: 'own', driver: 'overlay', labels: { n: 'v' } } },
    }),
  },
};

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A copy with one text, or one key, replaced. */
function mutated(value: Json, random: () => number): Json {
  const copy = structuredClone(value);
  const places: ((text: string) => void)[] = [];
  const walk = (at: Json): void => {
    if (at === null || typeof at !== 'object') return;
    for (const [key, inner] of Object.entries(at)) {
      const holder = at as { [key: string]: Json };
      if (typeof inner === 'string') places.push((text) => void (holder[key] = text));
      if (!Array.isArray(at) && random() < 0.3)
        places.push((text) => {
          Object.defineProperty(holder, text, {
            value: inner,
            enumerable: true,
            writable: true,
            configurable: true,
          });
          delete holder[key];
        });
      walk(inner);
    }
  };
  walk(copy);
  const text = hostileTexts[Math.floor(random() * hostileTexts.length)] ?? '';
  places[Math.floor(random() * places.length)]?.(text);
  return copy;
}

function mutatedPlan(plan: Plan, random: () => number): unknown {
  const { workload } = plan;
  if (workload.kind === 'Image' || random() < 0.3) return mutated(plan as unknown as Json, random);
  const file = mutated(JSON.parse(workload.compose) as Json, random);
  return { ...plan, workload: { kind: 'Compose', compose: JSON.stringify(file) } };
}

const safeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** What no stack may be, whoever wrote the plan. */
function checkStack(stack: StackPlan, plan: Plan): void {
  const named = [...stack.networks, ...stack.volumes, ...stack.configs, ...stack.secrets];
  for (const { name } of named) assert.match(name, safeName, 'a name');
  for (const { spec } of stack.services) {
    assert.match(spec.Name, safeName);
    assert.equal(spec.Labels[instanceLabel], plan.id);
    assert.equal(spec.Labels[stackLabel], stack.stack);
    const container = spec.TaskTemplate.ContainerSpec;
    for (const mount of container.Mounts ?? []) {
      assert.notEqual(mount.Type, 'bind', 'a folder of the node');
      assert.match(mount.Target ?? '', /^\//);
      if (mount.Source) assert.match(mount.Source, safeName);
    }
    for (const { File } of [...(container.Configs ?? []), ...(container.Secrets ?? [])])
      assert.ok(!File?.Name.split('/').includes('..'), `a file at ${File?.Name}`);
  }
  for (const object of [...stack.configs, ...stack.secrets, ...stack.networks])
    if (object.spec) assert.equal(object.spec.Labels[instanceLabel] ?? plan.id, plan.id);
}

const configLines = [
  /^$/,
  /^# Written by the agent; what is changed here by hand is lost\.$/,
  /^(global|defaults)$/,
  /^ {2}(log|stats|hard-stop-after|maxconn|timeout|retries|option|balance|mode|retry-on|http-reuse) [-a-zA-Z0-9 /._]+$/,
  /^ {2}(http-request disable-l7-retry if !METH_GET !\{ method HEAD OPTIONS \}|http-check expect status 200-399)$/,
  /^listen [-a-zA-Z0-9]+\.[-a-z0-9]+\.\d+$/,
  /^ {2}bind (:::\d+ v4v6|:\d+)$/,
  /^ {2}default-server (check inter 2s fastinter 500ms downinter 500ms rise 1 fall 3 )?init-addr none$/,
  /^ {2}server s\d+ 127\.0\.0\.1:1 disabled$/,
  /^ {2}http-check send meth GET uri '\/([!-&(-~]|'\\'')*' ver HTTP\/1\.1 hdr Host cloudlet$/,
];

function checkConfig(plan: Plan): void {
  const frontends = frontendsOf([plan], { services: [], tasks: [], nodes: [] });
  const text = renderConfig(frontends, assignSlots(frontends, new Map()), { ipv6: true });
  for (const line of text.split('\n'))
    assert.ok(
      configLines.some((pattern) => pattern.test(line)),
      `a line of the load balancer: ${JSON.stringify(line)}`,
    );
}

for (const [kind, plan] of Object.entries({ image: base, compose }))
  test(`no text of a plan of kind ${kind} becomes anything but a value`, () => {
    const random = randomFrom(seed);
    const outcomes = { schema: 0, driver: 0, passed: 0 };
    for (let round = 0; round < rounds; round++) {
      let hostile = mutatedPlan(plan, random);
      if (random() < 0.3) hostile = mutated(hostile as Json, random);
      const parsed = planSchema.safeParse(hostile);
      if (!parsed.success) {
        outcomes.schema++;
        continue;
      }
      try {
        checkConfig(parsed.data);
        const stack = desiredStack(parsed.data, { stack: newStackName(base), ipvs: false });
        checkStack(stack, parsed.data);
        outcomes.passed++;
      } catch (error) {
        if (!(error instanceof ComposeError || error instanceof DriverError)) {
          console.error(`round ${round}: ${JSON.stringify(hostile).slice(0, 3_000)}`);
          throw error;
        }
        outcomes.driver++;
      }
    }
    assert.ok(Math.min(...Object.values(outcomes)) > rounds / 100, JSON.stringify(outcomes));
  });

for (const [what, volume] of Object.entries({
  'an overlay over folders of the node':
    "{driver_opts: {type: overlay, device: overlay, o: 'lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w'}}",
  'a bind without a leading slash': '{driver_opts: {type: none, o: bind, device: etc}}',
  'a bind that calls itself NFS':
    "{driver_opts: {type: nfs, o: 'addr=192.0.2.1,bind', device: etc}}",
  'a bind among other flags': "{driver_opts: {o: 'ro, rbind', device: ../etc}}",
  'a disk of the node': '{driver_opts: {type: ext4, device: /dev/sda1}}',
}))
  test(`${what} is a path of the node, which is refused`, () => {
    const text = `services: {a: {image: web, volumes: ['disk:/data']}}\nvolumes: {disk: ${volume}}`;
    const plan: Plan = { ...base, ports: [], workload: { kind: 'Compose', compose: text } };
    assert.throws(
      () => desiredStack(plan, { stack: 'web-abcde', ipvs: false }),
      /is a path of the node/,
    );
  });
