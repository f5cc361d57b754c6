/** What only a swarm does: stacks made by others, updates that fail, foreign architectures, lost managers. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type {
  Checkpoint,
  Driver,
  InstanceObservation,
  Observation,
  StepResult,
} from '@cloudlet/drivers';
import type { Plan } from '@cloudlet/crds';
import { DriverError, systemClock } from '@cloudlet/runtime/base';
import type { Phone } from '../testbed/phones/phone.ts';
import { phonesUnavailable } from '../testbed/phones/phones.ts';
import { swarmNodes } from '../testbed/phones/swarm.ts';
import { until } from '../testbed/process.ts';
import { pushSwarmImages, swarmBed, type SwarmBed, type SwarmImages } from './drivers-swarm-bed.ts';

const never = new AbortController().signal;

suite(
  'the swarm driver and a swarm that changes under it',
  { skip: phonesUnavailable() ?? false },
  () => {
    let bed: SwarmBed;
    let images: SwarmImages;
    let phone: Phone;
    let driver: Driver;
    before(async () => {
      bed = await swarmBed(3);
      images = await pushSwarmImages(bed.registry);
      phone = await bed.leader();
      driver = bed.driver(phone);
    });
    after(() => bed.close());

    function aPlan(id: string, change: Partial<Plan> = {}): Plan {
      return {
        id: `${id}-faults`,
        sequence: 1,
        object: { namespace: 'shop', name: 'web', uid: id, generation: 1 },
        cloudlet: 'here',
        app: { name: 'web', version: '1', revision: 'web-1' },
        workload: { kind: 'Image', image: images.good },
        ...change,
      };
    }

    async function bringUp(plan: Plan): Promise<void> {
      let checkpoint: Checkpoint | undefined;
      for (let tries = 0; tries < 300; tries++) {
        const result = await driver.ensure(plan, checkpoint, never);
        if (result.kind === 'Done') return;
        checkpoint = result.checkpoint;
        await systemClock.sleep(result.againMs);
      }
      assert.fail('not up');
    }

    async function takeDown(plan: Plan): Promise<void> {
      const removal = { id: plan.id, sequence: plan.sequence + 1, deleteVolumes: true };
      let result = await driver.remove(removal, undefined, never);
      for (let tries = 0; tries < 300 && result.kind === 'Working'; tries++) {
        await systemClock.sleep(result.againMs);
        result = await driver.remove(removal, result.checkpoint, never);
      }
      assert.equal(result.kind, 'Done');
    }

    async function seen(
      on: Driver,
      wanted: (one: Observation) => boolean,
      ms = 60_000,
    ): Promise<Observation> {
      const stop = AbortSignal.timeout(ms);
      for await (const observation of on.observe(stop)) if (wanted(observation)) return observation;
      throw new Error(`not observed within ${ms} ms`);
    }

    /** Ids of the tasks that shall run: a restart makes new ones. */
    const containers = (service: string): Promise<string> => {
      const filter = ['--filter', 'desired-state=running'];
      return phone.docker(['service', 'ps', '--quiet', '--no-trunc', ...filter, service]);
    };

    test('a service that somebody removed comes back', async () => {
      const plan = aPlan('byhnd');
      await bringUp(plan);
      await phone.docker(['service', 'rm', 'web-byhnd_web']);
      await bringUp(plan);
      assert.match(await containers('web-byhnd_web'), /\S/);
      await takeDown(plan);
    });

    test('an update that fails is rolled back, told, and not tried again at once', async () => {
      const plan = aPlan('rolls');
      await bringUp(plan);
      const bad: Plan = {
        ...plan,
        sequence: 2,
        workload: { kind: 'Image', image: images.crashing },
      };
      const refused = (error: unknown): boolean =>
        error instanceof DriverError &&
        error.reason === 'RolledBack' &&
        /non-zero exit \(1\)/.test(error.message) &&
        (error.retryAfterMs ?? 0) > 540_000;
      await assert.rejects(bringUp(bad), refused);
      await assert.rejects(driver.ensure(bad, undefined, never), refused);
      const wellAgain = ({ id, deployed, healthy }: InstanceObservation): boolean =>
        id === plan.id && deployed.reason === 'RolledBack' && healthy.status === 'True';
      await seen(driver, (one) =>
        one.kind === 'Snapshot'
          ? one.instances.some(wellAgain)
          : one.kind === 'Instance' && wellAgain(one.instance),
      );
      // Not of before: a program that fails a moment after its start was the task for that moment.
      const before = await containers('web-rolls_web');
      await bringUp({ ...plan, sequence: 3 });
      assert.equal(await containers('web-rolls_web'), before);
      await takeDown(plan);
    });

    test('an update that a hung engine delayed or failed goes through without another plan', async () => {
      let aheadMs = 0;
      const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
      const patient = bed.driver(phone, { clock });
      const plan = aPlan('hangs', { replicas: 3 });
      await bringUp(plan);
      const hung = bed.phones.find(({ name }) => name !== phone.name);
      assert.ok(hung);
      const wanted = { ...plan, sequence: 2, env: { WISH: 'two' } };
      let checkpoint: Checkpoint | undefined;
      /** One call; what has to wait finds that the time has come. */
      const step = async (): Promise<StepResult['kind']> => {
        try {
          const result = await patient.ensure(wanted, checkpoint, never);
          if (result.kind === 'Working') {
            checkpoint = result.checkpoint;
            await systemClock.sleep(result.againMs);
          }
          return result.kind;
        } catch (error) {
          assert.ok(error instanceof DriverError && error.reason === 'RolledBack', String(error));
          assert.match(error.message, new RegExp(`${hung.name} did not start|non-zero exit`));
          assert.ok((error.retryAfterMs ?? Infinity) <= 60_000, String(error.retryAfterMs));
          aheadMs += error.retryAfterMs ?? 0;
          return 'Working';
        }
      };
      await hung.signalDockerd('SIGSTOP');
      try {
        await until('the swarm to miss the phone', 60_000, async () => {
          await step();
          const node = (await swarmNodes(phone)).find(({ name }) => name === hung.name);
          assert.equal(node?.status, 'Down');
        });
        await systemClock.sleep(8_000);
      } finally {
        await hung.signalDockerd('SIGCONT');
      }
      await until('the update to go through', 120_000, async () =>
        assert.equal(await step(), 'Done'),
      );
      const inspect = ['service', 'inspect', '--format', '{{json .Spec}}', 'web-hangs_web'];
      const spec = await phone.docker(inspect);
      assert.match(spec, /WISH=two/);
      assert.doesNotMatch(spec, /failed-update/);
      await takeDown(wanted);
    });

    test('a stack that runs is taken over without a restart', async () => {
      const label = 'com.docker.stack.namespace=legacy';
      const options = [
        '--detach',
        '--label',
        label,
        '--container-label',
        label,
        '--no-resolve-image',
      ];
      await phone.docker(['service', 'create', ...options, '--name', 'legacy_web', images.good]);
      await systemClock.sleep(3000);
      const before = await containers('legacy_web');
      const plan = aPlan('adopt', { adoptStack: 'legacy' });
      await bringUp(plan);
      assert.equal(await containers('legacy_web'), before);
      const told = await seen(driver, (one) => one.kind === 'Snapshot');
      assert.equal(told.kind, 'Snapshot');
      const instance = told.instances.find(({ id }) => id === plan.id);
      assert.deepEqual([instance?.name, instance?.sequence], ['legacy', 1]);
      await takeDown(plan);
      assert.doesNotMatch(await phone.docker(['service', 'ls']), /legacy/);
    });

    test('a stack with configs and secrets is taken over, and a later plan restarts what it changes', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'adopt-'));
      const compose = [
        'services:',
        `  web: {image: "${images.good}", configs: [{source: page, target: /page}], secrets: [key]}`,
        `  side: {image: "${images.good}"}`,
        'configs: {page: {file: ./page}}',
        'secrets: {key: {file: ./key}}',
      ].join('\n');
      const texts = {
        page: 'one',
        key: 'open sesame',
        'compose.yml': `version: "3.9"\n${compose}`,
      };
      for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
      const deploy = ['stack', 'deploy', '--resolve-image=never'];
      const file = ['--compose-file', join(folder, 'compose.yml')];
      await phone.docker([...deploy, ...file, 'brought']);
      await rm(folder, { recursive: true });
      const running = () => Promise.all(['web', 'side'].map((one) => containers(`brought_${one}`)));
      const names = (kind: string): Promise<string> =>
        phone.docker([kind, 'ls', '--format', '{{.Name}}', '--filter', 'name=brought']);
      await systemClock.sleep(3000);
      const before = await running();
      const plan = aPlan('brght', {
        adoptStack: 'brought',
        workload: { kind: 'Compose', compose },
        files: [
          { path: 'page', content: 'one' },
          { path: 'key', content: 'open sesame', secret: true },
        ],
      });
      await bringUp(plan);
      assert.deepEqual(await running(), before);
      assert.deepEqual(
        [await names('config'), await names('secret')],
        ['brought_page\n', 'brought_key\n'],
      );
      const changed = compose.replace('  side: {', '  side: {command: [/bin/sleep, "9999"], ');
      await bringUp({
        ...plan,
        sequence: 2,
        workload: { kind: 'Compose', compose: changed },
      });
      assert.deepEqual(
        [await names('config'), await names('secret')],
        ['brought_page\n', 'brought_key\n'],
        'what has the same content keeps its name',
      );
      await takeDown(plan);
      assert.deepEqual([await names('config'), await names('secret')], ['', '']);
    });

    test("another owner's stack is left alone", async () => {
      await phone.docker([
        ...['service', 'create', '--detach', '--no-resolve-image', '--name', 'web-taken_web'],
        ...['--label', 'com.docker.stack.namespace=web-taken', images.good],
      ]);
      const refused = (error: unknown): boolean => error instanceof DriverError && error.permanent;
      await assert.rejects(driver.ensure(aPlan('taken'), undefined, never), refused);
      await phone.docker(['service', 'rm', 'web-taken_web']);
    });

    test('a compose file runs, and a changed config replaces the old one', async () => {
      const compose = [
        'services:',
        '  web:',
        `    image: ${images.good}`,
        '    configs: [{source: page, target: /page}]',
        '    secrets: [key]',
        'configs: {page: {file: ./page}}',
        'secrets: {key: {file: ./key}}',
      ].join('\n');
      const file = (path: string, content: string) => ({ path, content });
      const plan = aPlan('cmpse', {
        workload: { kind: 'Compose', compose },
        files: [file('page', 'one'), { ...file('key', 'open sesame'), secret: true }],
      });
      await bringUp(plan);
      const count = async (kind: string): Promise<number> =>
        (await phone.docker([kind, 'ls', '--quiet'])).split('\n').filter(Boolean).length;
      assert.deepEqual([await count('config'), await count('secret')], [1, 1]);
      const [key] = plan.files?.slice(1) ?? [];
      assert.ok(key);
      await bringUp({ ...plan, sequence: 2, files: [file('page', 'two'), key] });
      const exec = { kind: 'exec' as const, instance: plan.id, argv: ['cat', '/page'] };
      const place = (
        await phone.docker(['service', 'ps', '--format', '{{.Node}}', 'web-cmpse_web'])
      ).split('\n')[0];
      const there = bed.phones.find(({ name }) => name === place);
      assert.ok(there);
      const session = await bed.driver(there).openSession(exec, never);
      assert.equal((await session.stdout.toArray()).join(''), 'two');
      await bringUp({ ...plan, sequence: 3, files: [file('page', 'two'), key] });
      await bringUp({ ...plan, sequence: 4, files: [file('page', 'three'), key] });
      // The one before the last stays: a roll-back would need it.
      assert.equal(await count('config'), 2);
      await takeDown(plan);
      assert.deepEqual([await count('config'), await count('secret')], [0, 0]);
    });

    test('a service on the own network of its node comes up, and is not updated without need', async () => {
      const compose = [
        'services:',
        '  web:',
        `    image: ${images.good}`,
        '    networks: [outside]',
        'networks: {outside: {external: true, name: host}}',
      ].join('\n');
      const plan = aPlan('hostn', { workload: { kind: 'Compose', compose } });
      await bringUp(plan);
      const version = (): Promise<string> =>
        phone.docker(['service', 'inspect', '--format', '{{.Version.Index}}', 'web-hostn_web']);
      const before = await version();
      await bringUp(plan);
      assert.equal(await version(), before);
      await takeDown(plan);
    });

    test('an image for another architecture runs where a node emulates it', async () => {
      await seen(driver, (one) => one.kind === 'Snapshot'); // this node has told what it emulates
      const plan = aPlan('armv7', { workload: { kind: 'Image', image: images.arm } });
      await bringUp(plan);
      const told = await seen(driver, (one) => one.kind === 'Snapshot');
      assert.equal(told.kind, 'Snapshot');
      assert.ok(told.site.architectures.includes('linux/arm/v7'));
      await takeDown(plan);
    });

    test('a drained node is told within seconds', async () => {
      const other = bed.phones.find(({ name }) => name !== phone.name);
      assert.ok(other);
      const isDrained = (one: Observation): boolean =>
        (one.kind === 'Site' || one.kind === 'Snapshot') &&
        one.site.nodes.some(
          ({ name, availability }) => name === other.name && availability === 'Drain',
        );
      const told = seen(driver, isDrained, 20_000);
      await systemClock.sleep(1000);
      await phone.docker(['node', 'update', '--availability', 'drain', other.name]);
      await told;
      await phone.docker(['node', 'update', '--availability', 'active', other.name]);
    });

    test('without a quorum the last leader reports it, and everything goes on after', async () => {
      const plan = aPlan('quorm');
      await bringUp(plan);
      const others = bed.phones.filter(({ name }) => name !== phone.name);
      const isLost = (one: Observation): boolean =>
        one.kind === 'Site' && one.site.quorum?.reason === 'QuorumLost';
      const lost = seen(driver, isLost, 90_000);
      await systemClock.sleep(2000);
      try {
        for (const other of others) await other.cut();
        const told = await lost;
        assert.ok(told.kind === 'Site');
        assert.equal(told.site.leads, true);
        assert.equal(told.site.platform.status, 'False');
        await assert.rejects(driver.ensure({ ...plan, sequence: 2 }, undefined, never), {
          reason: 'QuorumLost',
        });
      } finally {
        for (const other of others) await other.heal();
      }
      const back = await seen(driver, (one) => one.kind === 'Snapshot', 60_000);
      assert.ok(back.kind === 'Snapshot');
      assert.ok(back.instances.some(({ id }) => id === plan.id));
      await takeDown(plan);
    });
  },
);
