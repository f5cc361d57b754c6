/** Cases of sessions: exec, and logs that follow. */
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { DriverError } from '@cloudlet/runtime/base';
import { aPlan, bringUp, conformanceCase, never, takeDown, type Run } from './harness.ts';

export function sessionCases(run: Run): void {
  conformanceCase(
    run,
    'exec gives output, error output and the exit code',
    async (harness) => {
      const plan = aPlan(harness, harness.inReach);
      await bringUp(harness, plan);
      const open = (argv: string[]) =>
        harness.driver.openSession({ kind: 'exec', instance: plan.id, argv }, never);
      const echo = await open(['echo', 'two  words', '$HOME']);
      assert.equal(await text(echo.stdout), 'two  words $HOME\n');
      assert.deepEqual(await echo.exit, { code: 0 });
      const failing = await open(['false']);
      failing.stdout.resume();
      assert.deepEqual(await failing.exit, { code: 1 });
      await takeDown(harness, plan);
    },
    'exec',
  );

  conformanceCase(
    run,
    'exec hands on what is typed',
    async (harness) => {
      const plan = aPlan(harness, harness.inReach);
      await bringUp(harness, plan);
      const target = { kind: 'exec' as const, instance: plan.id, argv: ['cat'], stdin: true };
      const session = await harness.driver.openSession(target, never);
      session.stdin?.end('hello\n');
      assert.equal(await text(session.stdout), 'hello\n');
      assert.deepEqual(await session.exit, { code: 0 });
      await takeDown(harness, plan);
    },
    'exec',
  );

  conformanceCase(
    run,
    'logs print what the instance said, and a follower ends when closed',
    async (harness) => {
      const plan = aPlan(harness);
      await bringUp(harness, plan);
      const once = await harness.driver.openSession({ kind: 'logs', instance: plan.id }, never);
      once.stderr?.resume();
      assert.match(await text(once.stdout), /\S/);
      assert.deepEqual(await once.exit, { code: 0 });
      const target = { kind: 'logs' as const, instance: plan.id, follow: true };
      const follower = await harness.driver.openSession(target, never);
      follower.stderr?.resume();
      for await (const _chunk of follower.stdout) follower.close();
      assert.ok('reason' in (await follower.exit) || 'code' in (await follower.exit));
      await takeDown(harness, plan);
    },
    'logs',
  );

  conformanceCase(run, 'a session of an instance that is not there is refused', async (harness) => {
    const target = { kind: 'exec' as const, instance: 'nobody', argv: ['true'] };
    await assert.rejects(harness.driver.openSession(target, never), DriverError);
  });
}
