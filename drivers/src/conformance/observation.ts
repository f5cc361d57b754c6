/** Cases of observing: a snapshot first, then changes, and an end when asked for. */
import assert from 'node:assert/strict';
import type { Observation } from '../driver.ts';
import {
  aPlan,
  bringUp,
  conformanceCase,
  instanceIn,
  observeUntil,
  takeDown,
  type Run,
} from './harness.ts';

export function observationCases(run: Run): void {
  conformanceCase(run, 'observing begins with a snapshot of the site', async (harness) => {
    const plan = aPlan(harness);
    await bringUp(harness, plan);
    const first = await observeUntil(harness, () => true);
    assert.equal(first.kind, 'Snapshot');
    assert.equal(first.site.platform.status, 'True', JSON.stringify(first.site));
    assert.equal(first.site.leads, true);
    assert.ok(first.site.nodes.length > 0);
    assert.ok(first.site.architectures.length > 0);
    assert.ok((first.site.capacity.cpuMillis ?? 0) > 0);
    assert.ok(instanceIn(first, plan.id));
    await takeDown(harness, plan);
  });

  conformanceCase(
    run,
    'an instance that comes and goes is observed while it does',
    async (harness) => {
      const plan = aPlan(harness);
      const seen: string[] = [];
      const record = (observation: Observation): void => {
        const instance = instanceIn(observation, plan.id);
        if (instance) seen.push(`healthy ${instance.healthy.status}`);
        if (observation.kind === 'Gone' && observation.id === plan.id) seen.push('gone');
      };
      const works = observeUntil(harness, (observation) => {
        record(observation);
        return instanceIn(observation, plan.id)?.healthy.status === 'True';
      });
      await bringUp(harness, plan);
      await works;
      const { promise: isWatched, resolve: watched } = Promise.withResolvers<void>();
      const goes = observeUntil(harness, (observation) => {
        record(observation);
        if (instanceIn(observation, plan.id)) watched();
        return observation.kind === 'Gone' && observation.id === plan.id;
      });
      await isWatched;
      await takeDown(harness, plan);
      await goes;
      assert.equal(seen.at(-1), 'gone');
      assert.ok(seen.includes('healthy True'));
    },
  );

  conformanceCase(run, 'observing ends without an error when it is aborted', async (harness) => {
    const stop = new AbortController();
    for await (const observation of harness.driver.observe(stop.signal)) {
      assert.equal(observation.kind, 'Snapshot');
      stop.abort();
    }
  });
}
