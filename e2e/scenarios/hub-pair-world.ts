/**
 * A region with two of everything, and sites whose agents are real and whose platforms are in memory: so a
 * test can count every task that was ever started.
 */
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentFlags, runAgent } from '@cloudlet/agent/testing';
import {
  type AppInst,
  type Cloudlet,
  type Condition,
  groupVersion,
  namespaces,
} from '@cloudlet/crds';
import { createFakeDriver, FakePlatform } from '@cloudlet/drivers/fake';
import { type Lease, leaseType, resourceTypes, siteLeaseName } from '@cloudlet/operator';
import { type Logger, parseFlags, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  createInformer,
  type Informer,
  type KubernetesClient,
  type KubernetesObject,
} from '@cloudlet/runtime/kubernetes';
import {
  type ControlPlane,
  expect,
  joinOf,
  type Region,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';

export const drainSeconds = { hub: 5, access: 3 } as const;

export interface PairWorld extends AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly region: Region;
  /** An administrator's. */
  readonly client: KubernetesClient;
  readonly appInsts: Informer<AppInst>;
  readonly cloudlets: Informer<Cloudlet>;
  readonly sites: ReadonlyMap<string, FakePlatform>;
  /** What a condition that had been True was after it, ever, of any object: `kind name type`. */
  readonly lapses: readonly string[];
  apply(kind: keyof typeof resourceTypes, key: string, spec: object): Promise<void>;
  /** Name of the hub that holds the tunnel of a site. */
  hubOf(site: string): Promise<string>;
  /** The log of an instance, followed through the API server from now on. */
  follow(instance: string): Promise<FollowedLog>;
}

export interface FollowedLog {
  /** Numbers of the lines that came. */
  readonly lines: readonly number[];
  /** When it broke off, by this process's clock. */
  readonly endedMs: number | undefined;
  close(): void;
}

export const conditionIn = (object: AppInst | Cloudlet | undefined, type: string) =>
  object?.status?.conditions?.find((each: Condition) => each.type === type);

export async function openPairWorld(siteNames: readonly string[]): Promise<PairWorld> {
  const dir = mkdtempSync(join(tmpdir(), 'pair-'));
  const controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  const region = await startRegion({
    controlPlane,
    dir: join(dir, 'processes'),
    replicas: { operator: 2, hub: 2, access: 2 },
    args: {
      hub: ['--drain-seconds', String(drainSeconds.hub)],
      access: ['--drain-seconds', String(drainSeconds.access)],
    },
  });
  const { kubeconfig } = controlPlane;
  const client = createClient({
    ...{ kubeconfig, logger: silentLogger, clock: systemClock, userAgent: 'pair' },
  });
  const stop = new AbortController();
  const appInsts = createInformer<AppInst>(client, resourceTypes.AppInst);
  const cloudlets = createInformer<Cloudlet>(client, resourceTypes.Cloudlet);
  const watching = Promise.all([appInsts.run(stop.signal), cloudlets.run(stop.signal)]);
  await Promise.all([appInsts.synced(), cloudlets.synced()]);
  const sites = new Map<string, FakePlatform>();
  const agents: Promise<void>[] = [];
  const world: PairWorld = {
    ...{ controlPlane, region, client, appInsts, cloudlets, sites },
    lapses: lapsesOf(cloudlets, appInsts),
    apply: (kind, key, spec) => apply(client, kind, key, spec),
    hubOf: (site) => hubOf(client, site),
    follow: await followerOf(controlPlane),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'));
      await Promise.allSettled([...agents, watching]);
      await region.stop();
      await client.close();
      await controlPlane.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await controlPlane.kubectl(['create', 'namespace', 'shop']);
  for (const name of siteNames) {
    await world.apply('Cloudlet', name, { operator: 'campus', platform: 'Fake' });
    const platform = new FakePlatform({ clock: systemClock });
    sites.set(name, platform);
    const joined = await joinOf(controlPlane, name);
    agents.push(startFakeAgent(join(dir, name), joined, platform, stop.signal));
  }
  return world;
}

/** The agent as its process runs it, on a platform in memory. */
export async function startFakeAgent(
  stateDir: string,
  joined: string,
  platform: FakePlatform,
  signal: AbortSignal,
  logger: Logger = silentLogger,
): Promise<void> {
  const joinFile = `${stateDir}.join`;
  writeFileSync(joinFile, joined, { mode: 0o600 });
  const argv = ['--state-dir', stateDir, '--join-file', joinFile, '--driver', 'fake'];
  const { flags } = parseFlags(agentFlags, [...argv, '--health-address', 'off']);
  await runAgent({
    ...{ flags, proxy: undefined, logger, signal },
    load: async (_flags, clock) => createFakeDriver({ clock, platform }),
  });
}

/** Notes whenever a summary that was True is something else. */
function lapsesOf(cloudlets: Informer<Cloudlet>, appInsts: Informer<AppInst>): readonly string[] {
  const lapses: string[] = [];
  const look = (type: string, old: Cloudlet | AppInst, now: Cloudlet | AppInst): void => {
    const [before, after] = [conditionIn(old, type), conditionIn(now, type)];
    if (before?.status === 'True' && after?.status !== 'True')
      lapses.push(`${now.metadata.name} ${type}: ${after?.reason}: ${after?.message}`);
  };
  cloudlets.subscribe((event) => {
    if (event.type !== 'Updated') return;
    for (const type of ['Connected', 'Ready']) look(type, event.old, event.object);
  });
  appInsts.subscribe((event) => {
    // A new generation is rolled out: that its Ready lapses meanwhile is right.
    if (event.type !== 'Updated') return;
    if (event.old.metadata.generation === 1 && event.object.metadata.generation === 1)
      look('Ready', event.old, event.object);
  });
  return lapses;
}

async function apply(
  client: KubernetesClient,
  kind: keyof typeof resourceTypes,
  key: string,
  spec: object,
): Promise<void> {
  const [first = '', name] = key.split('/');
  const metadata = name === undefined ? { name: first } : { namespace: first, name };
  const object = { apiVersion: groupVersion, kind, metadata, spec } as KubernetesObject;
  const resource = client.resource<KubernetesObject>(resourceTypes[kind]);
  await resource.apply(object, { fieldManager: 'pair', force: true });
}

async function hubOf(client: KubernetesClient, site: string): Promise<string> {
  const leases = client.resource<Lease>(leaseType);
  const { spec } = await leases.get(siteLeaseName(site), namespaces.system);
  return spec?.holderIdentity?.split('/')[0] ?? '';
}

async function followerOf(controlPlane: ControlPlane): Promise<PairWorld['follow']> {
  const { kubectl, server } = controlPlane;
  await kubectl(['create', 'serviceaccount', 'reader', '-n', 'default']);
  const binding = ['--clusterrole=cluster-admin', '--serviceaccount=default:reader'];
  await kubectl(['create', 'clusterrolebinding', 'reader', ...binding]);
  const token = (await kubectl(['create', 'token', 'reader', '-n', 'default'])).trim();
  const view = JSON.parse(await kubectl(['config', 'view', '--raw', '-o', 'json'])) as {
    clusters: { cluster: { 'certificate-authority-data': string } }[];
  };
  const authority = view.clusters[0]?.cluster['certificate-authority-data'] ?? '';
  const options = {
    ca: Buffer.from(authority, 'base64'),
    headers: { authorization: `Bearer ${token}` },
    agent: false,
  };
  const group = '/apis/access.edge.cloudlet.dev/v1alpha1';
  return async (instance) => {
    const path = `${group}/namespaces/shop/appinsts/${instance}/log?follow=true`;
    const call = request(new URL(server + path), options).end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    expect(response.statusCode === 200, `log of ${instance}: ${response.statusCode}`);
    const lines: number[] = [];
    let text = '';
    let endedMs: number | undefined;
    response.on('error', () => undefined); // that it broke off is told by its close
    response.once('close', () => (endedMs = performance.now()));
    response.on('data', (chunk: Buffer) => {
      const parts = (text + chunk.toString()).split('\n');
      text = parts.pop() ?? '';
      lines.push(...parts.map((line) => Number(line.replace('line ', ''))));
    });
    return {
      lines,
      get endedMs() {
        return endedMs;
      },
      close: () => call.destroy(),
    };
  };
}

/** Whether lines came one after the other, none lost and none twice. */
export const isGapless = (lines: readonly number[]): boolean =>
  lines.every((line, index) => line === index + 1);

/** Looks until it does not throw. */
export const becomes = (what: string, look: () => void | Promise<void>, withinMs = 40_000) =>
  until(what, withinMs, async () => look());
