/** The coffee shop and the panel of e2e/demo beside the first App: what `npm start -- --shop` adds. */
import { pushDemoImages } from '../../demo/images.ts';
import { coffeeShop, demoSecrets, panel } from '../../demo/objects.ts';
import { type ControlPlane, expect, type Phones, until } from '../../testbed/index.ts';
import { applyObjects, demo } from './demo.ts';
import type { CommandContext } from './main.ts';

const appInsts = ['coffee', 'panel'] as const;
const inNamespace = ['--namespace', demo.namespace];

/** Applies both, waits until they are Ready and says where they answer. */
export async function runShop(
  { progress, cleanup, signal }: CommandContext,
  controlPlane: ControlPlane,
  { registry }: Phones,
): Promise<void> {
  await pushDemoImages(registry, progress);
  signal.throwIfAborted();
  cleanup.defer(() => removeShop(controlPlane));
  const secrets = demoSecrets().map((secret) => inDemo(secret as Named));
  await applyObjects(controlPlane, secrets);
  const names = { registry, cloudlet: demo.cloudlet };
  for (const input of [coffeeShop(names), panel(names)]) {
    await controlPlane.kubectl(['apply', ...inNamespace, '-f', '-'], { input });
  }
  for (const name of appInsts)
    progress(`${name} is Ready at ${await uriOf(name, controlPlane, signal)}`);
  progress("the panel's user is admin, its password is in Secret panel");
}

interface Named {
  readonly metadata: object;
}

const inDemo = (object: Named): object => ({
  ...object,
  metadata: { ...object.metadata, namespace: demo.namespace },
});

function uriOf(name: string, { kubectl }: ControlPlane, signal: AbortSignal): Promise<string> {
  return until(
    `AppInst ${name} to be Ready`,
    240_000,
    async () => {
      const text = await kubectl(['get', 'appinst', name, ...inNamespace, '-o', 'json']);
      const { status } = JSON.parse(text) as {
        status?: { uri?: string; conditions?: { type: string; status: string }[] };
      };
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      expect(ready?.status === 'True' && status?.uri, JSON.stringify(status?.conditions ?? []));
      return status.uri;
    },
    { signal },
  );
}

export async function removeShop({ kubectl }: ControlPlane): Promise<void> {
  const gone = ['--ignore-not-found', ...inNamespace, '--timeout=90s'];
  await kubectl(['delete', 'appinst', ...appInsts, ...gone], { timeoutMs: 100_000 });
  await kubectl(['delete', 'app,secret', 'coffee-shop', 'panel', ...gone], { timeoutMs: 100_000 });
}
