/**
 * The load balancer of one manager: HAProxy, kept at what plans and tasks ask for; UDP ports are nginx's.
 *
 * Guarantees: a change of servers goes over the runtime API and touches no connection; a change of ports is
 * checked by HAProxy itself first, then reloaded with its listening sockets passed on; a configuration that
 * it refuses is not put in place, and the last good one serves on. A task that was told to stop is drained
 * as soon as another one answers. One sync at a time; what comes during one is looked at after it.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cloudletReasons, type Plan } from '@cloudlet/crds';
import { describeError, DriverError, type Logger } from '@cloudlet/runtime/base';
import type { Verdict } from '../driver.ts';
import type { Engine } from '../docker-swarm/engine.ts';
import type { Backends } from '../docker-swarm/instances.ts';
import {
  ensureContainer,
  type LocalContainer,
  removeContainer,
  runInContainer,
} from '../docker-swarm/local-container.ts';
import { UdpBalancer } from '../nginx/index.ts';
import { insideDir, renderConfig, renderShape, slotName } from './config.ts';
import { haproxyContainer } from './container.ts';
import { KnownPorts } from './known-ports.ts';
import { answers, command, parseStat, type ServerState } from './control.ts';
import { type Frontend, frontendsOf, isBalanced, type Server, type SwarmView } from './model.ts';
import { type Assignment, assignSlots } from './slots.ts';

export interface LoadBalancerOptions {
  readonly engine: Engine;
  /** HAProxy 2.6 or newer, for the node's own architecture. */
  readonly image: string;
  /** nginx 1.22 or newer, likewise. Absent: UDP ports are not served. */
  readonly udpImage?: string;
  /** Folder of the configuration and the sockets; the container gets it too. */
  readonly dir: string;
  readonly logger: Logger;
  /** Told when what backends say has changed. */
  readonly onChange: () => void;
}

const configOptions = { ipv6: existsSync('/proc/net/if_inet6') };

export class LoadBalancer {
  readonly #options: LoadBalancerOptions;
  readonly #container: LocalContainer;
  readonly #udp: UdpBalancer | undefined;
  readonly #knownPorts: KnownPorts;
  #plans: readonly Plan[] = [];
  #view: SwarmView | undefined;
  #assignment: Assignment = new Map();
  /** The shape that HAProxy runs with; unknown until it was read. */
  #shape: string | undefined;
  #frontends: readonly Frontend[] = [];
  #states: readonly ServerState[] = [];
  #verdict: Verdict | undefined;
  #running: Promise<void> | undefined;
  #isDue = false;

  constructor(options: LoadBalancerOptions) {
    this.#options = options;
    const { engine, image, udpImage, dir } = options;
    this.#container = haproxyContainer(image, dir);
    this.#knownPorts = new KnownPorts(join(dir, 'ports.json'));
    this.#udp = udpImage === undefined ? undefined : udpBalancer(engine, udpImage, dir);
  }

  /** Undefined while no plan asks for a port. */
  get verdict(): Verdict | undefined {
    return this.#verdict;
  }

  /** Of each public port that is balanced; without a server while HAProxy does not have it yet. */
  backends(instance: string): Backends | undefined {
    const plan = this.#plans.find(({ id }) => id === instance);
    const ports = (plan?.ports ?? []).filter(isBalanced);
    if (ports.length === 0) return undefined;
    const own = this.#frontends.filter((frontend) => frontend.instance === instance);
    return ports.map(({ name }) => {
      const frontends = own.filter(({ port }) => port === name);
      if (frontends.length === 0) return { port: name, up: 0, total: 0 };
      return {
        port: name,
        // Of a range, the port that is worst off tells.
        up: Math.min(...frontends.map((frontend) => this.#upOf(frontend))),
        total: Math.min(...frontends.map(({ servers }) => servers.length)),
      };
    });
  }

  publish(plans: readonly Plan[], signal: AbortSignal): void {
    this.#plans = plans;
    this.#sync(signal);
  }

  survey(view: SwarmView, signal: AbortSignal): void {
    this.#view = view;
    this.#sync(signal);
  }

  /** Ends all of it and removes what it has; serves again when plans are published. */
  async remove(signal: AbortSignal): Promise<void> {
    this.#plans = [];
    this.#isDue = false;
    await this.#running;
    this.#verdict = undefined;
    this.#shape = undefined;
    this.#frontends = [];
    this.#assignment = new Map();
    await removeContainer(this.#options.engine, this.#container, signal);
    await rm(this.#options.dir, { recursive: true, force: true });
    await this.#udp?.remove(signal);
  }

  #upOf({ name, mode, servers }: Frontend): number {
    // Of UDP the container's own health tells, by which the swarm keeps its task or does not.
    if (mode === 'udp') return servers.length;
    return this.#answering(name);
  }

  #answering(backend: string): number {
    return this.#states.filter((state) => state.backend === backend && answers(state)).length;
  }

  #sync(signal: AbortSignal): void {
    this.#isDue = true;
    this.#running ??= this.#run(signal).finally(() => (this.#running = undefined));
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (this.#isDue && !signal.aborted) {
      this.#isDue = false;
      const before = this.#summary();
      try {
        await this.#bringAbout(signal);
      } catch (error) {
        if (signal.aborted) return;
        const message = describeError(error);
        this.#verdict = { status: 'False', reason: cloudletReasons.LoadBalancerFailed, message };
        this.#options.logger.warn('the load balancer cannot be brought up to date', { error });
      }
      if (this.#summary() !== before) this.#options.onChange();
    }
  }

  #summary(): string {
    return JSON.stringify([this.#verdict, this.#frontends.map((frontend) => this.#upOf(frontend))]);
  }

  async #bringAbout(signal: AbortSignal): Promise<void> {
    if (!this.#view) return;
    const isIdle = frontendsOf(this.#plans, this.#view).length === 0;
    if (isIdle && this.#verdict === undefined) return;
    await mkdir(this.#options.dir, { recursive: true, mode: 0o700 });
    const tasks = await this.#knownPorts.complete(this.#view.tasks);
    const all = frontendsOf(this.#plans, { ...this.#view, tasks });
    const isUdp = ({ mode }: Frontend): boolean => mode === 'udp';
    const tcp = all.filter((frontend) => !isUdp(frontend));
    const udp = all.filter(isUdp);
    const [ofTcp, ofUdp] = await Promise.allSettled([
      this.#bringAboutTcp(tcp, signal),
      this.#bringAboutUdp(udp, signal),
    ]);
    const before = this.#frontends;
    this.#frontends = [
      ...(ofTcp.status === 'fulfilled' ? tcp : before.filter((one) => !isUdp(one))),
      ...(ofUdp.status === 'fulfilled' ? udp : before.filter(isUdp)),
    ];
    for (const result of [ofTcp, ofUdp]) if (result.status === 'rejected') throw result.reason;
    this.#verdict = {
      status: 'True',
      reason: cloudletReasons.Serving,
      message: `${all.length} public ports`,
    };
  }

  async #bringAboutTcp(frontends: readonly Frontend[], signal: AbortSignal): Promise<void> {
    const assignment = assignSlots(frontends, this.#assignment);
    const shape = renderShape(frontends, assignment, configOptions);
    const config = renderConfig(frontends, assignment, configOptions);
    await this.#serve(config, shape, signal);
    this.#shape = shape;
    this.#assignment = assignment;
    await this.#feed(frontends, signal);
  }

  async #bringAboutUdp(frontends: readonly Frontend[], signal: AbortSignal): Promise<void> {
    if (frontends.length > 0 && !this.#udp)
      throw new DriverError('LoadBalancerFailed', 'UDP ports are not served: no image for them');
    await this.#udp?.bringAbout(frontends, signal);
  }

  /** Has HAProxy run with the configuration's shape. */
  async #serve(config: string, shape: string, signal: AbortSignal): Promise<void> {
    const { engine, dir } = this.#options;
    const file = join(dir, 'haproxy.cfg');
    const present = await readFile(file, 'utf8').catch(() => '');
    if (present === '') await this.#write(file, config);
    const isNew = await ensureContainer(engine, this.#container, signal);
    // A container that was there before this agent runs with the file that it found.
    this.#shape ??= isNew ? shapeOf(present || config) : shapeOf(present);
    if (shapeOf(config) === this.#shape || shape === this.#shape) {
      if (present !== config) await this.#write(file, config);
      return;
    }
    await this.#reload(config, present, signal);
  }

  async #reload(config: string, present: string, signal: AbortSignal): Promise<void> {
    const { engine, dir } = this.#options;
    const file = join(dir, 'haproxy.cfg');
    await this.#write(join(dir, 'next.cfg'), config);
    const check = ['haproxy', '-c', '-q', '-f', `${insideDir}/next.cfg`];
    const { code, output } = await runInContainer(engine, this.#container, check, signal);
    if (code !== 0)
      throw new DriverError('LoadBalancerFailed', `HAProxy refuses its configuration: ${output}`);
    await rename(join(dir, 'next.cfg'), file);
    await command(join(dir, 'master.sock'), ['reload'], engine.clock, signal);
    try {
      await this.#reloaded(config, signal);
    } catch (error) {
      if (present) await this.#write(file, present);
      throw error;
    }
  }

  /** A worker that cannot bind a port ends, and the last one goes on: then the new ports never show. */
  async #reloaded(config: string, signal: AbortSignal): Promise<void> {
    const { engine, dir } = this.#options;
    const wanted = [...config.matchAll(/^listen (\S+)$/gm)].map(([, name]) => name ?? '').sort();
    let present: readonly string[] = [];
    for (let tries = 0; tries < 40; tries++) {
      await engine.clock.sleep(50, signal);
      const stat = await command(
        join(dir, 'stats.sock'),
        ['show stat'],
        engine.clock,
        signal,
      ).catch(() => '');
      present = [...new Set(parseStat(stat).map(({ backend }) => backend))].sort();
      if (present.join() === wanted.join()) return;
    }
    const missing = wanted.filter((name) => !present.includes(name));
    const ports = missing.map((name) => name.split('.').at(-1)).join(', ');
    throw new DriverError(
      'LoadBalancerFailed',
      `HAProxy did not take up its configuration${ports ? `: is port ${ports} of this node in use?` : ''}`,
    );
  }

  /** Puts servers into their slots over the runtime API and reads how they do. */
  async #feed(frontends: readonly Frontend[], signal: AbortSignal): Promise<void> {
    const before = await this.#stat(signal);
    const commands = frontends.flatMap(({ name }) =>
      feedCommands(
        name,
        this.#assignment.get(name) ?? [],
        before.filter(({ backend }) => backend === name),
      ),
    );
    if (commands.length > 0)
      await command(
        join(this.#options.dir, 'stats.sock'),
        commands,
        this.#options.engine.clock,
        signal,
      );
    this.#states = commands.length > 0 ? await this.#stat(signal) : before;
  }

  async #stat(signal: AbortSignal): Promise<readonly ServerState[]> {
    const { engine, dir } = this.#options;
    const socket = join(dir, 'stats.sock');
    // Just started: its socket is there in a moment.
    for (let tries = 0; ; tries++) {
      try {
        return parseStat(await command(socket, ['show stat'], engine.clock, signal));
      } catch (error) {
        if (tries >= 40 || signal.aborted) throw error;
        await engine.clock.sleep(50, signal);
      }
    }
  }

  async #write(file: string, content: string): Promise<void> {
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}

const udpBalancer = (engine: Engine, image: string, dir: string): UdpBalancer =>
  new UdpBalancer({ engine, image, dir: join(dir, 'udp') });

/** The shape of a configuration that was written before. */
function shapeOf(config: string): string {
  return config.replace(/^ {2}server (s\d+) .*$/gm, '  server $1 127.0.0.1:1 disabled');
}

/**
 * What to say to HAProxy so that a backend's slots hold their servers. Pure.
 *
 * A new server begins as down until its first check where another one answers, and as up where it is the
 * only one: then connections wait for it (retries) instead of being refused.
 */
export function feedCommands(
  backend: string,
  slots: readonly (Server | undefined)[],
  states: readonly ServerState[],
): readonly string[] {
  const stateOf = new Map(states.map((state) => [state.slot, state]));
  const staying = slots.filter((server, index) => {
    const state = stateOf.get(slotName(index));
    return server && !server.isLeaving && state && answers(state) && isAt(state, server);
  });
  return slots.flatMap((server, index) => {
    const state = stateOf.get(slotName(index));
    if (!state) return [];
    const name = `${backend}/${slotName(index)}`;
    if (!server) return state.status.startsWith('MAINT') ? [] : [`set server ${name} state maint`];
    if (!isAt(state, server) || state.status.startsWith('MAINT'))
      return [
        `set server ${name} addr ${server.address} port ${server.port}`,
        `set server ${name} state ready`,
        ...(staying.length > 0 && !server.isLeaving ? [`set server ${name} health down`] : []),
      ];
    if (server.isLeaving)
      return staying.length > 0 && !state.status.startsWith('DRAIN')
        ? [`set server ${name} state drain`]
        : [];
    return state.status.startsWith('DRAIN') ? [`set server ${name} state ready`] : [];
  });
}

function isAt(state: ServerState, server: Server): boolean {
  return state.address === `${server.address}:${server.port}`;
}
