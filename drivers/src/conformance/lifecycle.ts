/** Cases of an instance's life: made, changed, stopped, started, removed. */
import assert from 'node:assert/strict';
import { DriverError } from '@cloudlet/runtime/base';
import type { Observation } from '../driver.ts';
import {
  aPlan,
  argsOf,
  bringUp,
  conformanceCase,
  instanceIn,
  look,
  never,
  observeUntil,
  takeDown,
  type Run,
} from './harness.ts';

export function lifecycleCases(run: Run): void {
  conformanceCase(
    run,
    'an instance is made, runs, and leaves nothing when removed',
    async (harness) => {
      const plan = aPlan(harness);
      await bringUp(harness, plan);
      const seen = await look(harness, plan.id);
      assert.equal(seen?.deployed.status, 'True', JSON.stringify(seen));
      assert.equal(seen.healthy.status, 'True', JSON.stringify(seen));
      assert.equal(seen.sequence, plan.sequence);
      assert.equal(seen.tasks.filter((task) => task.state === 'running').length, 1);
      await takeDown(harness, plan);
      assert.deepEqual(await harness.left(plan.id), []);
      assert.equal(await look(harness, plan.id), undefined);
    },
  );

  conformanceCase(run, 'ensuring what is there changes and restarts nothing', async (harness) => {
    const plan = aPlan(harness, { env: { COLOUR: 'green' } });
    await bringUp(harness, plan);
    const before = await harness.running(plan.id);
    assert.equal((await harness.driver.ensure(plan, undefined, never)).kind, 'Done');
    await bringUp(harness, { ...plan, sequence: 2 });
    assert.deepEqual(await harness.running(plan.id), before);
    assert.equal((await look(harness, plan.id))?.sequence, 2);
    await takeDown(harness, plan);
  });

  conformanceCase(run, 'a changed image rolls out', async (harness) => {
    const plan = aPlan(harness);
    await bringUp(harness, plan);
    const before = await harness.running(plan.id);
    const workload = { kind: 'Image' as const, image: harness.images.other, ...argsOf(harness) };
    await bringUp(harness, { ...plan, sequence: 2, workload });
    const after = await harness.running(plan.id);
    assert.equal(after.length, 1);
    assert.notDeepEqual(after, before);
    const seen = await look(harness, plan.id);
    assert.equal(seen?.sequence, 2);
    assert.equal(seen.deployed.status, 'True', JSON.stringify(seen));
    await takeDown(harness, plan);
  });

  conformanceCase(
    run,
    'more replicas leave the first alone',
    async (harness) => {
      const plan = aPlan(harness);
      await bringUp(harness, plan);
      const [first] = await harness.running(plan.id);
      await bringUp(harness, { ...plan, sequence: 2, replicas: 3 });
      const after = await harness.running(plan.id);
      assert.equal(after.length, 3);
      assert.ok(first !== undefined && after.includes(first));
      await takeDown(harness, plan);
    },
    'replicas',
  );

  conformanceCase(run, 'an image that does not exist is a permanent failure', async (harness) => {
    const workload = { kind: 'Image' as const, image: harness.images.missing };
    const plan = aPlan(harness, { workload });
    const error = await bringUp(harness, plan).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof DriverError, String(error));
    assert.equal(error.reason, 'ImageNotFound');
    assert.equal(error.permanent, true);
    assert.match(error.message, new RegExp(harness.images.missing.replaceAll('.', '\\.')));
    await takeDown(harness, plan);
    assert.deepEqual(await harness.left(plan.id), []);
  });

  conformanceCase(
    run,
    'an image that ends at once is told as not deployed, with its error',
    async (harness) => {
      const workload = { kind: 'Image' as const, image: harness.images.crashing };
      const plan = aPlan(harness, { workload });
      // A driver may see it run for a moment; what it observes tells all the same.
      const error = await bringUp(harness, plan).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof DriverError || Array.isArray(error), String(error));
      const isTold = (observation: Observation): boolean =>
        instanceIn(observation, plan.id)?.deployed.reason === 'DeployFailed';
      const seen = instanceIn(await observeUntil(harness, isTold), plan.id);
      assert.equal(seen?.deployed.status, 'False');
      assert.ok(seen.tasks.some((task) => task.error !== undefined));
      await takeDown(harness, plan);
    },
    'crashing images',
  );

  conformanceCase(run, 'removing what is absent succeeds', async (harness) => {
    await takeDown(harness, aPlan(harness));
  });

  conformanceCase(run, 'a removal overtakes an ensure and what it left', async (harness) => {
    const plan = aPlan(harness);
    const checkpoints = await bringUp(harness, plan);
    await takeDown(harness, plan, true, checkpoints.at(-1));
    assert.deepEqual(await harness.left(plan.id), []);
  });

  conformanceCase(run, 'a suspended plan changes nothing', async (harness) => {
    const plan = aPlan(harness);
    await bringUp(harness, plan);
    const before = await harness.running(plan.id);
    const workload = { kind: 'Image' as const, image: harness.images.other, ...argsOf(harness) };
    await bringUp(harness, { ...plan, sequence: 2, suspend: true, workload, replicas: 0 });
    assert.deepEqual(await harness.running(plan.id), before);
    await takeDown(harness, plan);

    const absent = aPlan(harness, { suspend: true });
    await bringUp(harness, absent);
    assert.deepEqual(await harness.left(absent.id), []);
  });

  conformanceCase(run, 'powered off nothing runs; powered on it runs again', async (harness) => {
    const plan = aPlan(harness);
    await bringUp(harness, plan);
    await bringUp(harness, { ...plan, sequence: 2, powerState: 'Off' });
    assert.deepEqual(await harness.running(plan.id), []);
    const seen = await look(harness, plan.id);
    assert.equal(seen?.healthy.reason, 'PoweredOff');
    assert.equal(seen.sequence, 2);
    await bringUp(harness, { ...plan, sequence: 3 });
    assert.equal((await harness.running(plan.id)).length, 1);
    await takeDown(harness, plan);
  });

  conformanceCase(run, 'no secret shows in an error or an observation', async (harness) => {
    const value = 'sesame-4711-open';
    const workload = { kind: 'Image' as const, image: harness.images.missing };
    const secret = { secretEnv: { TOKEN: value }, registryAuth: { 'nowhere.invalid': value } };
    const bad = aPlan(harness, { workload, ...secret });
    const error = await bringUp(harness, bad).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof DriverError);
    assert.ok(!`${error.message} ${JSON.stringify(error.cause)}`.includes(value));
    await takeDown(harness, bad);

    const good = aPlan(harness, secret);
    await bringUp(harness, good);
    assert.ok(!JSON.stringify(await look(harness, good.id)).includes(value));
    assert.ok(!JSON.stringify(await harness.left(good.id)).includes(value));
    await takeDown(harness, good);
  });
}
