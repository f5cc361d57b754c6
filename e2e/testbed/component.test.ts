import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { componentOf } from './component.ts';
import { expect, until } from './process.ts';

const folder = mkdtempSync(join(tmpdir(), 'component-'));
after(() => rmSync(folder, { recursive: true }));

/** A process that is ready when it is told to be. */
function aSleeper(name: string) {
  const gate = { isOpen: false };
  const component = componentOf({
    ...{ name, command: 'sleep', args: ['60'], logFile: join(folder, `${name}.log`) },
    ready: async () => expect(gate.isOpen, 'not yet'),
  });
  return { gate, component };
}

const launched = (pidOf: () => number | undefined, before?: number): Promise<number> =>
  until('a process', 5_000, () => {
    const pid = pidOf();
    expect(pid !== undefined && pid !== before, 'none yet');
    return pid;
  });

test('two who start it at once start one process', async () => {
  const { gate, component } = aSleeper('twice');
  const starts = [component.start(), component.start()];
  const pid = await launched(() => component.pid);
  gate.isOpen = true;
  await Promise.all(starts);
  assert.equal(component.pid, pid);
  await component.start();
  assert.equal(component.pid, pid);
  await component.stop();
  assert.equal(component.running, false);
});

test('what is killed before it was ready is killed, and starts anew', async () => {
  const { gate, component } = aSleeper('early');
  const first = assert.rejects(component.start(), /ended with SIGKILL before it was ready/);
  const pid = await launched(() => component.pid);
  assert.equal(component.running, true);
  await component.kill();
  gate.isOpen = true;
  await component.start();
  await first;
  assert.notEqual(component.pid, pid);
  await component.stop();
});
