/**
 * UDP ports of one manager: nginx, kept at what plans and tasks ask for.
 *
 * Guarantees: a configuration that nginx refuses is not put in place, and the last good one serves on; a
 * reload keeps the sockets, so that no datagram is lost by it; a port that somebody else has is told by its
 * number. Health is the container's own: a task that the swarm says runs gets datagrams.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DriverError } from '@cloudlet/runtime/base';
import type { Engine } from '../docker-swarm/engine.ts';
import {
  confined,
  ensureContainer,
  type LocalContainer,
  removeContainer,
  runInContainer,
  signalContainer,
} from '../docker-swarm/local-container.ts';
import type { Frontend } from '../haproxy/model.ts';
import { configFile, insideDir, portsIn, renderConfig } from './config.ts';

export interface UdpBalancerOptions {
  readonly engine: Engine;
  /** nginx 1.22 or newer with its stream module, for the node's own architecture. */
  readonly image: string;
  /** Folder of the configuration; the container gets it too. */
  readonly dir: string;
}

const configOptions = { ipv6: existsSync('/proc/net/if_inet6') };
const nextFile = 'next.conf';

export class UdpBalancer {
  readonly #options: UdpBalancerOptions;
  readonly #container: LocalContainer;

  constructor(options: UdpBalancerOptions) {
    this.#options = options;
    this.#container = nginxContainer(options.image, options.dir);
  }

  /** Has nginx serve these frontends; without one there is no container unless there was one before. */
  async bringAbout(frontends: readonly Frontend[], signal: AbortSignal): Promise<void> {
    const { engine, dir } = this.#options;
    const config = renderConfig(frontends, configOptions);
    const file = join(dir, configFile);
    const present = await readFile(file, 'utf8').catch(() => '');
    if (frontends.length === 0 && present === '') return;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    if (present === '') await this.#write(configFile, renderConfig([], configOptions));
    await ensureContainer(engine, this.#container, signal);
    if (present === config) return;
    await this.#check(config, portsIn(present), signal);
    await rename(join(dir, nextFile), file);
    await signalContainer(engine, this.#container, 'SIGHUP', signal);
    await this.#opened(portsIn(config), signal);
  }

  /** Ends it and removes what it has. */
  async remove(signal: AbortSignal): Promise<void> {
    await removeContainer(this.#options.engine, this.#container, signal);
    await rm(this.#options.dir, { recursive: true, force: true });
  }

  async #check(config: string, own: readonly number[], signal: AbortSignal): Promise<void> {
    const taken = await udpPortsInUse();
    const foreign = portsIn(config).filter((port) => taken.has(port) && !own.includes(port));
    if (foreign.length > 0)
      throw new DriverError(
        'LoadBalancerFailed',
        `UDP port ${foreign.join()} of this node is in use`,
      );
    await this.#write(nextFile, config);
    const argv = ['nginx', '-t', '-q', '-e', 'stderr', '-c', `${insideDir}/${nextFile}`];
    const { code, output } = await runInContainer(
      this.#options.engine,
      this.#container,
      argv,
      signal,
    );
    if (code !== 0)
      throw new DriverError('LoadBalancerFailed', `nginx refuses its configuration: ${output}`);
  }

  async #opened(ports: readonly number[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#options.engine;
    for (let tries = 0; tries < 60; tries++) {
      const open = await udpPortsInUse();
      if (ports.every((port) => open.has(port))) return;
      await clock.sleep(50, signal);
    }
    await rm(join(this.#options.dir, configFile), { force: true }); // the next try begins anew
    throw new DriverError('LoadBalancerFailed', 'nginx did not take up its configuration');
  }

  async #write(name: string, content: string): Promise<void> {
    const file = join(this.#options.dir, name);
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}

function nginxContainer(image: string, dir: string): LocalContainer {
  const directives = ['-e', 'stderr', '-g', 'daemon off;', '-c', `${insideDir}/${configFile}`];
  return {
    name: 'cloudlet-load-balancer-udp',
    what: 'the load balancer of UDP ports',
    settings: {
      Image: image,
      Entrypoint: ['nginx'],
      Cmd: directives,
      StopSignal: 'SIGQUIT',
      User: '0',
      HostConfig: confined(`${dir}:${insideDir}`, ['NET_BIND_SERVICE', 'SETGID', 'SETUID']),
    },
  };
}

/** UDP ports of this node's network that some socket is bound to. */
async function udpPortsInUse(proc = '/proc/net'): Promise<ReadonlySet<number>> {
  const tables = await Promise.all(
    ['udp', 'udp6'].map((name) => readFile(join(proc, name), 'utf8').catch(() => '')),
  );
  const local = tables.flatMap((table) => [
    ...table.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm),
  ]);
  return new Set(local.map(([, port]) => Number.parseInt(port ?? '0', 16)));
}
