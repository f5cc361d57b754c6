/**
 * One agent as phones run it, beside the hollow ones: its bundle in a process of its own, on a Docker engine,
 * with an App whose instance changes now and then.
 *
 * Guarantees: the App and its instance live in a namespace of their own, which the judge of the hollow sites
 * does not look at; `check` throws unless the instance runs as it was asked for last.
 */
import { join } from 'node:path';
import { groupVersion } from '@cloudlet/crds';
import { systemClock } from '@cloudlet/runtime/base';
import {
  childrenOf,
  type EmbeddedControlPlane,
  expect,
  formSwarm,
  type Phones,
  pushHaproxyImage,
  pushWebImage,
  startSite,
  until,
} from '../testbed/index.ts';

export interface PhoneSite extends AsyncDisposable {
  /** Of the agent. */
  pid(): number;
  /** Scales the instance up and down until the signal aborts. */
  churn(everyMs: number, until: AbortSignal): Promise<void>;
  check(): Promise<void>;
}

export interface PhoneSiteOptions {
  readonly controlPlane: EmbeddedControlPlane;
  readonly phones: Phones;
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
}

const namespace = 'soak';
const cloudlet = 'phone';
const readyMs = 120_000;

export async function startPhoneSite(options: PhoneSiteOptions): Promise<PhoneSite> {
  const { controlPlane, phones, env, dir } = options;
  const { kubectl } = controlPlane;
  await formSwarm(phones.phones, { managers: 1 });
  const native = { architectures: ['amd64'] } as const;
  const balancer = await pushHaproxyImage(phones.registry, native);
  const web = await pushWebImage(phones.registry, native);
  const args = ['--lb-image', balancer.reference, '--helper-image', 'none'];
  const site = await startSite({
    ...{ controlPlane, cloudlet, phones: phones.phones, args, env },
    dir: join(dir, 'phone'),
  });
  let replicas = 1;
  const apply = (...items: readonly object[]): Promise<string> => {
    const list = { apiVersion: 'v1', kind: 'List', items };
    return kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(list) });
  };
  await apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    appOf(web.reference),
    instanceOf(replicas),
  );
  const check = async (): Promise<void> => {
    await until('the instance on the phone to run as asked for', readyMs, async () => {
      const instance = ['get', 'appinst', 'web', '--namespace', namespace, '-o', 'json'];
      const { status } = JSON.parse(await kubectl(instance)) as {
        status?: {
          instances?: { state: string }[];
          conditions?: { type: string; status: string }[];
        };
      };
      const running = status?.instances?.filter(({ state }) => state === 'running').length;
      const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
      expect(
        running === replicas && ready === 'True',
        `${running} of ${replicas} run, Ready is ${ready}`,
      );
    });
  };
  await check();
  return {
    pid() {
      const wrapper = site.agents[0]?.pid;
      const [pid] = wrapper === undefined ? [] : childrenOf(wrapper);
      expect(pid !== undefined, 'the agent on the phone does not run');
      return pid;
    },
    async churn(everyMs, end) {
      while (!end.aborted) {
        await systemClock.sleep(everyMs, end).catch(() => undefined); // the loop sees the abort
        if (end.aborted) return;
        const next = 3 - replicas;
        // A fault may have the API server: then it stays as it is until the next time.
        const isTaken = await apply(instanceOf(next)).then(
          () => true,
          () => false,
        );
        if (isTaken) replicas = next;
      }
    },
    check,
    [Symbol.asyncDispose]: () => site.stop(),
  };
}

const appOf = (image: string): object => ({
  ...{ apiVersion: groupVersion, kind: 'App', metadata: { name: 'web', namespace } },
  spec: {
    ...{ version: '1', deployment: 'Docker', image },
    ports: [{ name: 'http', protocol: 'HTTP', port: 8080 }],
  },
});

const instanceOf = (replicas: number): object => ({
  ...{ apiVersion: groupVersion, kind: 'AppInst', metadata: { name: 'web', namespace } },
  spec: { appRef: { name: 'web' }, cloudletRef: { name: cloudlet }, replicas },
});
