/**
 * A region as the plugin's user has it: a real control plane with the processes beside it, a zone of two
 * sites of which one is drained, and an agent of the fake driver for the other.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentChild, startAgent } from '@cloudlet/agent/testing';
import { bundlePlugin } from '@cloudlet/cli/bundle';
import { type CommandResult, runCommand } from '@cloudlet/runtime/base';
import {
  type EmbeddedControlPlane,
  type ControlPlaneOptions,
  type Region,
  type RegionOptions,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';

export interface CliWorld extends AsyncDisposable {
  readonly dir: string;
  readonly controlPlane: EmbeddedControlPlane;
  readonly region: Region;
  /** Path of the bundled plugin. */
  readonly plugin: string;
  /** The plugin as a process of its own, since kubectl passes arguments, streams and exit code through. */
  cloudlet(
    args: readonly string[],
    options?: { readonly input?: string; readonly kubeconfig?: string },
  ): Promise<CommandResult>;
  apply(kind: string, metadata: object, spec: object): Promise<void>;
  /** Starts the agent of `north` with a join, and waits until the site is Ready. */
  join(joinText: string): Promise<AgentChild>;
}

export interface CliWorldOptions {
  readonly controlPlane?: Omit<ControlPlaneOptions, 'dir'>;
  readonly region?: Omit<RegionOptions, 'controlPlane' | 'dir'>;
}

const anyCode = Array.from({ length: 255 }, (_, code) => code + 1);

export async function openCliWorld(options: CliWorldOptions = {}): Promise<CliWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'cli-'));
  const plugin = await bundlePlugin(join(dir, 'kubectl-cloudlet'));
  const controlPlane = await startControlPlane({
    ...options.controlPlane,
    dir: join(dir, 'region'),
  });
  const { kubectl } = controlPlane;
  let region: Region | undefined;
  let agent: AgentChild | undefined;
  const close = async (): Promise<void> => {
    await agent?.stop('SIGKILL');
    await region?.stop();
    await controlPlane.stop();
    await rm(dir, { recursive: true, force: true, maxRetries: 20 });
  };
  const apply: CliWorld['apply'] = async (kind, metadata, spec) => {
    const object = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind, metadata, spec };
    await kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
  };
  try {
    region = await startRegion({ ...options.region, controlPlane, dir: join(dir, 'processes') });
    await apply('Zone', { name: 'city' }, { operator: 'campus' });
    for (const [name, spec] of [
      ['north', {}],
      ['south', { maintenance: 'Drain' }],
    ] as const) {
      const zoneRef = { name: 'city' };
      await apply('Cloudlet', { name }, { operator: 'campus', platform: 'Fake', zoneRef, ...spec });
    }
    await apply('Flavor', { name: 'small' }, { vcpus: '100m', memory: '64Mi' });
    const ready = ['wait', '--for=condition=Available', '--timeout=60s'];
    await kubectl([...ready, 'apiservice/v1alpha1.access.edge.cloudlet.dev'], {
      timeoutMs: 70_000,
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...{ dir, controlPlane, region, plugin, apply },
    cloudlet: (args, { input, kubeconfig = controlPlane.kubeconfig } = {}) =>
      runCommand(process.execPath, [plugin, ...args], {
        env: { KUBECONFIG: kubeconfig },
        allow: anyCode,
        timeoutMs: 120_000,
        ...(input === undefined ? {} : { input }),
      }),
    async join(joinText) {
      assert.equal(agent, undefined, 'one agent is enough');
      agent = startAgent({
        args: [
          ...['--state-dir', join(dir, 'site'), '--driver', 'fake', '--member', 'phone-1'],
          ...['--join-file', '-', '--health-address', 'off'],
        ],
        input: joinText,
      });
      await until('Cloudlet north to be Ready', 60_000, async () => {
        await kubectl(['wait', '--for=condition=Ready', '--timeout=5s', 'cloudlet/north']);
      });
      return agent;
    },
    [Symbol.asyncDispose]: close,
  };
}

/** An App and an AppInst of it in the zone, as a file holds them. */
export const shopFile = (workload: object): string =>
  [
    {
      apiVersion: 'edge.cloudlet.dev/v1alpha1',
      kind: 'App',
      metadata: { name: 'shop' },
      spec: {
        version: '1',
        deployment: 'Docker',
        defaultFlavorRef: { name: 'small' },
        ...workload,
      },
    },
    {
      apiVersion: 'edge.cloudlet.dev/v1alpha1',
      kind: 'AppInst',
      metadata: { name: 'shop' },
      spec: { appRef: { name: 'shop' }, zoneRef: { name: 'city' } },
    },
  ]
    .map((object) => JSON.stringify(object))
    .join('\n---\n');
