/** Cases of a driver that is stopped midway, and of checkpoints. */
import assert from 'node:assert/strict';
import { systemClock } from '@cloudlet/runtime/base';
import { aPlan, bringUp, conformanceCase, look, never, takeDown, type Run } from './harness.ts';

export function interruptionCases(run: Run): void {
  conformanceCase(run, 'what an abort leaves, a repeat heals', async (harness) => {
    const clock = harness.clock ?? systemClock;
    const plan = aPlan(harness);
    for (const afterMs of [0, 5, 20, 60, 150]) {
      const stop = new AbortController();
      clock.after(afterMs, () => stop.abort(new Error('stopped by the test')));
      await harness.driver.ensure(plan, undefined, stop.signal).catch(() => undefined);
    }
    await bringUp(harness, plan);
    assert.equal((await harness.running(plan.id)).length, 1);
    assert.equal((await look(harness, plan.id))?.deployed.status, 'True');
    await takeDown(harness, plan);
    assert.deepEqual(await harness.left(plan.id), []);
  });

  conformanceCase(run, 'a call with an aborted signal rejects', async (harness) => {
    const plan = aPlan(harness);
    const signal = AbortSignal.abort(new Error('stopped by the test'));
    await assert.rejects(harness.driver.ensure(plan, undefined, signal));
    const removal = { id: plan.id, sequence: 2 };
    await assert.rejects(harness.driver.remove(removal, undefined, signal));
    assert.deepEqual(await harness.left(plan.id), []);
  });

  conformanceCase(run, 'a removal in the middle of a making leaves nothing', async (harness) => {
    const plan = aPlan(harness);
    await harness.driver.ensure(plan, undefined, never);
    await takeDown(harness, plan);
    assert.deepEqual(await harness.left(plan.id), []);
  });

  conformanceCase(run, "another version's checkpoint is not believed", async (harness) => {
    const plan = aPlan(harness);
    const foreign = { version: 'of-another-driver', data: { step: 99 } };
    const first = await harness.driver.ensure(plan, foreign, never);
    assert.equal(first.kind, 'Working');
    await bringUp(harness, plan);
    assert.equal((await harness.running(plan.id)).length, 1);
    await takeDown(harness, plan);
  });

  conformanceCase(
    run,
    'a checkpoint is small and JSON',
    async (harness) => {
      const plan = aPlan(harness);
      const checkpoints = await bringUp(harness, plan);
      assert.ok(checkpoints.length > 0);
      for (const checkpoint of checkpoints) {
        const text = JSON.stringify(checkpoint);
        assert.ok(text.length <= 64 * 1024);
        assert.deepEqual(JSON.parse(text), checkpoint);
      }
      await takeDown(harness, plan);
    },
    'checkpoints',
  );
}
