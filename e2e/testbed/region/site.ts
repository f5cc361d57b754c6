/**
 * A site of phones: the agents on its managers, and how they come to belong to a Cloudlet.
 *
 * Guarantees: the agent is the bundle that real phones get, run in a phone's namespaces (it dies with the
 * phone); the first agent enrols with the join token, further ones by their key, which an administrator
 * accepts; the token passes through a file that only its owner reads.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cloudlet, type CloudletSpec, namespaces } from '@cloudlet/crds';
import { bundleAgent } from '@cloudlet/agent/bundle';
import { type Component, componentOf } from '../component.ts';
import type { ControlPlane } from '../controlplane/embedded.ts';
import type { Phone } from '../phones/phone.ts';
import { expect, type ManagedProcess, type ProcessOptions, until } from '../process.ts';
import { noProgress, type Progress } from '../progress.ts';

export interface AgentOptions {
  readonly phone: Phone;
  readonly controlPlane: ControlPlane;
  /** Name of the Cloudlet. */
  readonly cloudlet: string;
  /** Holds bundle, join and state. */
  readonly dir: string;
  /** More flags. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What the first start gets. @default what the region holds for this Cloudlet */
  readonly join?: string;
  /** The agent's program. @default the bundle of these sources */
  readonly entry?: string;
}

export interface SiteOptions {
  readonly controlPlane: ControlPlane;
  /** Name of the Cloudlet; it is made unless it is there. */
  readonly cloudlet: string;
  readonly spec?: Partial<CloudletSpec>;
  /** Managers of the swarm that run an agent. */
  readonly phones: readonly Phone[];
  readonly dir: string;
  readonly args?: readonly string[];
  /** More environment of the agents. */
  readonly env?: Readonly<Record<string, string>>;
  readonly progress?: Progress;
}

export interface Site {
  readonly cloudlet: string;
  /** One a phone, in their order. */
  readonly agents: readonly Component[];
  stop(): Promise<void>;
}

/** Makes a Cloudlet, starts an agent on each of the phones and waits until the Cloudlet is Ready. */
export async function startSite(options: SiteOptions): Promise<Site> {
  const { controlPlane, cloudlet, phones, progress = noProgress } = options;
  await applyCloudlet(options);
  const agents: Component[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.stop()));
  };
  try {
    const join = await joinOf(controlPlane, cloudlet);
    for (const [index, phone] of phones.entries()) {
      const agent = await agentOn({
        ...options,
        phone,
        join: index === 0 ? join : tokenless(join),
      });
      agents.push(agent);
      await agent.start();
      if (index > 0) await acceptKeyOf(controlPlane, cloudlet, phone.name);
      await agentEnrolled(controlPlane, cloudlet, phone.name, agent);
      progress(`the agent on ${phone.name} has enrolled`);
    }
    await cloudletReady(controlPlane, cloudlet);
  } catch (error) {
    const logs = agents.map((agent) => `${agent.name}:\n${agent.tail(8)}`).join('\n');
    await stop();
    throw new Error(`site ${cloudlet} does not come up; the ends of the agents' logs:\n${logs}`, {
      cause: error,
    });
  }
  return { cloudlet, agents, stop };
}

async function applyCloudlet({ controlPlane, cloudlet, spec }: SiteOptions): Promise<void> {
  const object = {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'Cloudlet',
    metadata: { name: cloudlet },
    spec: { operator: 'testbed', platform: 'DockerSwarm', ...spec },
  };
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
}

let bundle: Promise<{ readonly entry: string }> | undefined;

/** Prepares an agent in a phone's namespaces; `start` starts it, and starts it again after the phone booted. */
export async function agentOn(options: AgentOptions): Promise<Component> {
  const { phone, controlPlane, cloudlet, dir } = options;
  mkdirSync(dir, { recursive: true });
  const entry = options.entry ?? (await ownBundle(dir));
  const joinFile = join(dir, `${phone.name}.join`);
  const joined = options.join ?? (await joinOf(controlPlane, cloudlet));
  writeFileSync(joinFile, joined, { mode: 0o600 });
  const argv = [
    ...[process.execPath, entry, '--state-dir', join(dir, `${phone.name}-agent`)],
    ...['--join-file', joinFile, '--docker-socket', phone.innerSocketPath],
    ...(options.args ?? []),
  ];
  const launch = ({ env, logFile }: ProcessOptions): Promise<ManagedProcess> =>
    phone.spawn(argv, { name: 'agent', logFile, ...(env && { env }) });
  const logFile = join(dir, `${phone.name}-agent.log`);
  const settings = { command: argv[0] ?? '', args: argv.slice(1), logFile };
  const env = options.env && { env: options.env };
  return componentOf({ name: `agent on ${phone.name}`, ...settings, ...env }, launch);
}

async function ownBundle(dir: string): Promise<string> {
  bundle ??= bundleAgent({ outFolder: join(dir, 'agent') });
  return (await bundle).entry;
}

/** What a further member of a site gets: the token is for one key, the others wait until theirs is accepted. */
function tokenless(join: string): string {
  const { token: _, ...rest } = JSON.parse(join) as Record<string, string>;
  return JSON.stringify(rest);
}

/** What `kubectl cloudlet join` prints; there until the token is used. */
export async function joinOf(controlPlane: ControlPlane, cloudlet: string): Promise<string> {
  return until(`the join of Cloudlet ${cloudlet}`, 30_000, async (signal) => {
    const secret = ['get', 'secret', `join-${cloudlet}`, '--namespace', namespaces.system];
    const text = await controlPlane.kubectl([...secret, '-o', 'json'], { signal });
    const { data = {} } = JSON.parse(text) as { data?: Record<string, string> };
    const decode = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
    const joined = decode('join');
    expect(joined !== '', 'the Secret holds no join');
    return joined;
  });
}

export async function getCloudlet(controlPlane: ControlPlane, name: string): Promise<Cloudlet> {
  return JSON.parse(
    await controlPlane.kubectl(['get', 'cloudlet', name, '-o', 'json']),
  ) as Cloudlet;
}

/** Accepts the key that a member's agent shows, as an administrator would. */
export async function acceptKeyOf(
  controlPlane: ControlPlane,
  cloudlet: string,
  member: string,
): Promise<void> {
  const keys = await until(`the agent on ${member} to show its key`, 60_000, async () => {
    const { spec, status } = await getCloudlet(controlPlane, cloudlet);
    const shown = status?.waiting?.find((waiting) => waiting.member === member)?.fingerprint;
    const known = status?.keys?.some((key) => key.member === member);
    expect(known || shown, `status.waiting holds ${JSON.stringify(status?.waiting ?? [])}`);
    return shown ? [...(spec.acceptedKeys ?? []), shown] : undefined;
  });
  if (!keys) return;
  const patch = JSON.stringify({ spec: { acceptedKeys: keys } });
  await controlPlane.kubectl(['patch', 'cloudlet', cloudlet, '--type', 'merge', '-p', patch]);
}

async function agentEnrolled(
  controlPlane: ControlPlane,
  cloudlet: string,
  member: string,
  agent: Component,
): Promise<void> {
  await until(`the agent on ${member} to enrol`, 60_000, async () => {
    expect(agent.running, 'its process ended');
    const { status } = await getCloudlet(controlPlane, cloudlet);
    const keys = status?.keys ?? [];
    expect(
      keys.some((key) => key.member === member),
      `status.keys holds ${JSON.stringify(keys)}`,
    );
  });
}

export async function cloudletReady(controlPlane: ControlPlane, name: string): Promise<void> {
  await until(`Cloudlet ${name} to be Ready`, 90_000, async () => {
    const { status } = await getCloudlet(controlPlane, name);
    const conditions = status?.conditions ?? [];
    const ready = conditions.find(({ type }) => type === 'Ready');
    expect(ready?.status === 'True', JSON.stringify(conditions));
  });
}
