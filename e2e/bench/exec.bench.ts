/**
 * `kubectl cloudlet exec`: from the plugin's first step to the first byte that the program prints, through API
 * server, access, hub, tunnel and, for tasks on other nodes than the agent's, their helper.
 */
import { Readable, Writable } from 'node:stream';
import { runCli } from '@cloudlet/cli';
import { UnreachableError } from '@cloudlet/runtime/base';
import type { Bench, BenchResult } from './contract.ts';
import { percentile, swarmBed } from './swarm-bed.ts';

const execs = 150;
const replicas = 3;

export const bench: Bench = {
  prefix: 'exec',
  needs: ['controlplane', 'phones', 'region'],
  async run(context): Promise<BenchResult> {
    await using bed = await swarmBed(context, { helpers: true });
    await bed.apply('web', replicas);
    const { status } = await bed.whenever(
      'web',
      ({ status: now }) =>
        now?.instances?.filter(({ state }) => state === 'running').length === replicas,
    );
    const tasks = (status?.instances ?? []).map(({ name }) => name);
    const kubeconfig = context.kubeconfig ?? '';
    // A helper that is just being deployed is waited for, which is not what is measured.
    for (const task of tasks) await firstByteMs(kubeconfig, task, context.signal);
    const ms: number[] = [];
    for (let index = 0; index < execs; index++) {
      const task = tasks[index % tasks.length] ?? '';
      ms.push(await firstByteMs(kubeconfig, task, context.signal));
    }
    return {
      figures: {
        'firstByte.p50': percentile(ms, 0.5),
        'firstByte.p99': percentile(ms, 0.99),
      },
      notes: [`${execs} calls, one after another, to tasks on ${tasks.length} phones in turn`],
    };
  },
};

async function firstByteMs(kubeconfig: string, task: string, signal: AbortSignal): Promise<number> {
  const start = performance.now();
  let firstMs: number | undefined;
  let said = '';
  const takes = (sees: () => void): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        said += chunk.toString();
        sees();
        done();
      },
    });
  const terminal = {
    stdin: Readable.from([]),
    stdout: takes(() => (firstMs ??= performance.now())),
    stderr: takes(() => undefined),
    isInteractive: false,
    setRaw: () => undefined,
    size: () => undefined,
    onResize: () => () => undefined,
  };
  const where = ['--kubeconfig', kubeconfig, '--namespace', 'default'];
  const argv = ['exec', 'web', ...where, '--target', task, '--', '/web', '-version'];
  const code = await runCli(argv, { terminal, signal, version: 'bench' });
  if (code !== 0 || firstMs === undefined)
    throw new UnreachableError(`exec in ${task} ended with ${code}: ${said}`);
  return firstMs - start;
}
