/**
 * A region of its own with the operator in it, and sites that are played by the test: they take the Lease as
 * a hub does, and report with the agent's field manager what the test tells them to.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type App,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  type Cluster,
  type Condition,
  fieldManagers,
  groupVersion,
  namespaces,
} from '@cloudlet/crds';
import {
  instanceIdOf,
  type Lease,
  leaseType,
  resourceTypes,
  runOperator,
  siteLeaseName,
} from '@cloudlet/operator';
import { ConflictError, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  createInformer,
  type Informer,
  type KubernetesClient,
  type KubernetesObject,
  type ResourceClient,
} from '@cloudlet/runtime/kubernetes';
import { startControlPlane } from '../testbed/controlplane/index.ts';
import { kindsServed } from '../testbed/region/install.ts';
import type { EmbeddedControlPlane } from '../testbed/controlplane/embedded.ts';
import { repositoryRoot } from '../testbed/host.ts';

export interface Bed extends AsyncDisposable {
  readonly region: EmbeddedControlPlane;
  readonly client: KubernetesClient;
  readonly appInsts: Informer<AppInst>;
  readonly ledgers: Informer<CloudletLedger>;
  create(kind: keyof typeof resourceTypes, key: string, spec: object): Promise<KubernetesObject>;
  resource<T extends KubernetesObject>(kind: keyof typeof resourceTypes): ResourceClient<T>;
  site(name: string, spec?: object): Promise<FakeSite>;
  startOperator(): Promise<void>;
  stopOperator(): Promise<void>;
}

/** Waits until `probe` gives something; tells what it was waiting for when it does not. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 20_000,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    assert.ok(Date.now() < end, `not within ${timeoutMs} ms: ${what}`);
    await systemClock.sleep(25);
  }
}

export const conditionIn = (
  object:
    { readonly status?: { readonly conditions?: readonly Condition[] | undefined } } | undefined,
  type: string,
): Condition | undefined =>
  object?.status?.conditions?.find((condition) => condition.type === type);

const split = (key: string): { name: string; namespace?: string } => {
  const [first = '', second] = key.split('/');
  return second === undefined ? { name: first } : { namespace: first, name: second };
};

export async function openBed(prefix: string): Promise<Bed> {
  const dir = await mkdtemp(join(tmpdir(), prefix));
  const region = await startControlPlane({ dir: join(dir, 'region') });
  await region.kubectl(['apply', '--server-side', '-f', join(repositoryRoot, 'crds/manifests')]);
  for (const namespace of [...Object.values(namespaces), 'shop'])
    await region.kubectl(['create', 'namespace', namespace]);
  await kindsServed(region);
  const client = createClient({
    kubeconfig: region.kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'operator-scenarios',
  });
  const stop = new AbortController();
  const appInsts = createInformer<AppInst>(client, resourceTypes.AppInst);
  const ledgers = createInformer<CloudletLedger>(client, resourceTypes.CloudletLedger);
  const watching = Promise.all([appInsts.run(stop.signal), ledgers.run(stop.signal)]);
  await Promise.all([appInsts.synced(), ledgers.synced()]);
  const operator = operatorOf(region.kubeconfig);
  await operator.start();
  const bed: Bed = {
    region,
    client,
    appInsts,
    ledgers,
    resource: (kind) => client.resource(resourceTypes[kind]),
    create: (kind, key, spec) =>
      client
        .resource<KubernetesObject>(resourceTypes[kind])
        .create({ apiVersion: groupVersion, kind, metadata: split(key), spec } as KubernetesObject),
    site: (name, spec) => FakeSite.open(bed, name, spec),
    startOperator: () => operator.start(),
    stopOperator: () => operator.stop(),
    async [Symbol.asyncDispose]() {
      await operator.stop();
      stop.abort();
      await watching;
      await client.close();
      await region.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return bed;
}

/** The operator in this process, as its own entry runs it. */
function operatorOf(kubeconfig: string) {
  let running: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  return {
    async start() {
      const stop = new AbortController();
      const argv = ['--kubeconfig', kubeconfig, '--health-listen', '127.0.0.1:0'];
      const addresses = ['--hub-address', '127.0.0.1:7443', '--enroll-address', '127.0.0.1:7444'];
      const quiet = ['--log-level', process.env['SCENARIO_LOG'] ?? 'error'];
      running = { stop, ended: runOperator([...argv, ...addresses, ...quiet], stop.signal) };
      await Promise.race([running.ended, systemClock.sleep(50)]);
    },
    async stop() {
      running?.stop.abort(new Error('the test is over'));
      await running?.ended;
      running = undefined;
    },
  };
}

export interface Behaviour {
  /** What the site says of an instance that it has. */
  readonly deployed?: readonly [status: Condition['status'], reason: string, message: string];
  readonly healthy?: readonly [status: Condition['status'], reason: string, message: string];
}

const longLeaseSeconds = 3600;

/** One site, as the region sees it: its Lease, its reports. */
export class FakeSite {
  readonly name: string;
  readonly #bed: Bed;
  readonly #boot = `boot-${Math.random().toString(16).slice(2)}`;
  #reports = 0;
  #behave: ((appInst: AppInst) => Behaviour | undefined) | undefined;
  #chain: Promise<void> = Promise.resolve();
  readonly #failures: unknown[] = [];

  private constructor(bed: Bed, name: string) {
    this.name = name;
    this.#bed = bed;
  }

  static async open(bed: Bed, name: string, spec: object = {}): Promise<FakeSite> {
    await bed.create('Cloudlet', name, { operator: 'op', platform: 'Fake', ...spec });
    const site = new FakeSite(bed, name);
    await eventually(`Lease of ${name}`, () => site.lease());
    bed.appInsts.subscribe((event) => {
      if (event.type !== 'Deleted') site.#enqueue(event.object.metadata);
    });
    return site;
  }

  async lease(): Promise<Lease | undefined> {
    const leases = this.#bed.client.resource<Lease>(leaseType);
    return leases.get(siteLeaseName(this.name), namespaces.system).catch(() => undefined);
  }

  async cloudlet(): Promise<Cloudlet> {
    return this.#bed.resource<Cloudlet>('Cloudlet').get(this.name);
  }

  /** Takes the Lease, as a hub does for an agent that connects, and reports the site. */
  async connect(site: object = {}): Promise<void> {
    await hubLease(this.#bed.client);
    await this.patchLease({
      spec: { holderIdentity: `hub-a/${this.#boot}`, acquireTime: now(), renewTime: now() },
    });
    await this.reportSite(site);
    await eventually(`${this.name} connected`, async () =>
      conditionIn(await this.cloudlet(), 'Connected')?.status === 'True' ? true : undefined,
    );
  }

  /** Renews the Lease, as a hub does for an agent that lives; without being renewed again it runs out. */
  async renew(leaseDurationSeconds = longLeaseSeconds): Promise<void> {
    const holderIdentity = `hub-a/renewed-${this.#boot}`;
    await this.patchLease({ spec: { holderIdentity, leaseDurationSeconds, renewTime: now() } });
  }

  /** Gives the Lease back, as a hub does when a session is dead. */
  async disconnect(): Promise<void> {
    await this.patchLease({ spec: { holderIdentity: '' } });
  }

  async patchLease(patch: object): Promise<void> {
    const leases = this.#bed.client.resource<Lease>(leaseType);
    const spec = { leaseDurationSeconds: longLeaseSeconds, ...(patch as { spec?: object }).spec };
    await leases.mergePatch(siteLeaseName(this.name), namespaces.system, { ...patch, spec });
  }

  async reportSite(site: object = {}): Promise<void> {
    const cloudlet = await this.cloudlet();
    await this.#bed.resource<Cloudlet>('Cloudlet').apply(
      {
        apiVersion: groupVersion,
        kind: 'Cloudlet',
        metadata: { name: this.name },
        status: {
          site: {
            uid: cloudlet.metadata.uid,
            boot: this.#boot,
            sequence: ++this.#reports,
            addresses: ['203.0.113.7'],
            architectures: ['linux/amd64'],
            capacity: { cpuMillis: 8000, memoryBytes: 2 ** 33 },
            ...site,
          },
          conditions: [condition('PlatformReady', 'True', 'Serving', 'It serves.')],
        },
      },
      { fieldManager: fieldManagers.agent, subresource: 'status' },
    );
  }

  /** Reports, from now on, what `behave` says of each plan that is pinned here; removals at once. */
  async run(behave: (appInst: AppInst) => Behaviour | undefined = healthy): Promise<void> {
    this.#behave = behave;
    for (const appInst of this.#bed.appInsts.cache.list()) this.#enqueue(appInst.metadata);
    await this.#chain;
  }

  /** Says nothing any more. */
  pause(): void {
    this.#behave = undefined;
  }

  /** Reports that failed; a test ends by looking that there are none. */
  get failures(): readonly unknown[] {
    return this.#failures;
  }

  #enqueue({ namespace, name }: { readonly namespace?: string; readonly name: string }): void {
    this.#chain = this.#chain.then(async () => {
      try {
        await this.#answer(`${namespace}/${name}`);
      } catch (error) {
        if (!(error instanceof ConflictError)) this.#failures.push(error);
      }
    });
  }

  async #answer(key: string): Promise<void> {
    const appInst = this.#bed.appInsts.cache.get(key);
    const { placement, rollout, site } = appInst?.status ?? {};
    if (!this.#behave || !appInst || placement?.cloudlet !== this.name) return;
    const id = instanceIdOf(appInst);
    const ledger = this.#bed.ledgers.cache.get(this.name)?.spec;
    const tombstone = ledger?.tombstones?.find((one) => one.id === id);
    if (tombstone) {
      if (site?.removed !== true)
        await this.#report(appInst, tombstone.sequence, { removed: true });
      return;
    }
    if (!rollout || rollout.generation !== appInst.metadata.generation) return;
    const behaviour = this.#behave(appInst);
    if (!behaviour || (site?.placement === rollout.sequence && isSaid(appInst, behaviour))) return;
    await this.#report(appInst, rollout.sequence, { revision: rollout.revision }, behaviour);
  }

  async #report(
    appInst: AppInst,
    placement: number,
    more: object,
    { deployed, healthy: health }: Behaviour = {},
  ): Promise<void> {
    const { name, namespace = '', uid } = appInst.metadata;
    const conditions = [
      ...(deployed ? [condition('Deployed', ...deployed)] : []),
      ...(health ? [condition('Healthy', ...health)] : []),
    ];
    const status = {
      site: { uid, boot: this.#boot, sequence: ++this.#reports, placement, ...more },
      conditions,
      ...(health ? { instances: [{ name: `${name}.1`, state: 'running' }] } : {}),
    };
    await this.#bed
      .resource<AppInst>('AppInst')
      .apply(
        { apiVersion: groupVersion, kind: 'AppInst', metadata: { name, namespace }, status },
        { fieldManager: fieldManagers.agent, subresource: 'status' },
      );
  }
}

export const healthy = (): Behaviour => ({
  deployed: ['True', 'Deployed', 'It runs.'],
  healthy: ['True', 'Healthy', '1 of 1 replicas is healthy.'],
});

function isSaid(appInst: AppInst, { deployed, healthy: health }: Behaviour): boolean {
  const isSame = (type: string, wanted: Behaviour['deployed']): boolean => {
    const said = conditionIn(appInst, type);
    return said?.status === wanted?.[0] && said?.reason === wanted?.[1];
  };
  return isSame('Deployed', deployed) && isSame('Healthy', health);
}

const now = (): string => new Date().toISOString().replace('Z', '000Z');

const condition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message: string,
): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
});

/** A hub that lives: without one, no site can be called lost. */
export async function hubLease(client: KubernetesClient): Promise<void> {
  const leases = client.resource<Lease>(leaseType);
  const spec = {
    holderIdentity: 'hub-a',
    leaseDurationSeconds: longLeaseSeconds,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: now(),
  };
  await leases
    .create({ metadata: { name: 'hub-a', namespace: namespaces.system }, spec })
    .catch((error: unknown) => {
      if (!(error instanceof ConflictError)) throw error;
    });
}

export type { App, AppInst, Cloudlet, CloudletLedger, Cluster };
