/**
 * One engine, reached by dockerode on its unix socket, or through the helper of its node.
 *
 * Guarantees: every call has a deadline of 25 s (a manager without a leader answers after 20 s); a failure is
 * one typed error that says what was tried; `DOCKER_HOST` and its kin are not looked at.
 * Of dockerode only the parts that speak HTTP are used: its BuildKit session and decoder, which bring
 * @grpc/grpc-js and protobufjs, are never called, so that a bundler may replace both (docs/drivers.md).
 */
import type { Readable } from 'node:stream';
import type { PeerCertificate } from 'node:tls';
import Docker from 'dockerode';
import {
  ConflictError,
  DeadlineError,
  describeError,
  DriverError,
  NotFoundError,
  withDeadline,
  type Clock,
} from '@cloudlet/runtime/base';
import type {
  EngineInfo,
  FileObject,
  Network,
  Service,
  SwarmNode,
  Task,
  ListedContainer,
  Volume,
} from './engine-types.ts';

export const callDeadlineMs = 25_000;

export type EngineOptions = { readonly clock: Clock } & (
  | { readonly socketPath: string }
  /** Another node's engine, behind its helper. */
  | { readonly remote: RemoteEngine }
);

export interface RemoteEngine {
  readonly host: string;
  readonly port: number;
  /** PEM; `ca` is the site's authority. */
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
}

/** Common name of helpers' certificates; their addresses change, so no name of a host is in them. */
export const helperName = 'edge:node';

/** What a list may be narrowed by: labels and names, as the engine's `filters`. */
export type Filters = Record<string, readonly string[]>;

export class Engine {
  readonly clock: Clock;
  readonly docker: Docker;
  readonly #place: string;

  constructor(options: EngineOptions) {
    this.clock = options.clock;
    if ('remote' in options) {
      const { host, port, tls } = options.remote;
      this.#place = `${host}:${port}`;
      this.docker = new Docker({ host, port, protocol: 'https', ...tls, checkServerIdentity });
      return;
    }
    this.#place = options.socketPath;
    // `host` is named to keep docker-modem from taking it from the environment.
    this.docker = new Docker({ socketPath: options.socketPath, host: undefined });
  }

  /**
   * Makes one call.
   * @throws DriverError, NotFoundError, ConflictError, or the outer signal's reason.
   */
  async call<T>(
    what: string,
    signal: AbortSignal | undefined,
    action: (docker: Docker, call: { abortSignal: AbortSignal }) => Promise<unknown>,
    deadlineMs = callDeadlineMs,
  ): Promise<T> {
    try {
      return (await withDeadline(
        what,
        deadlineMs,
        this.clock,
        (abortSignal) => action(this.docker, { abortSignal }),
        signal,
      )) as T;
    } catch (error) {
      signal?.throwIfAborted();
      throw engineError(what, error, this.#place);
    }
  }

  /** Opens a stream that lives until `signal` aborts; the deadline is for its beginning only. */
  async stream<T extends Readable>(
    what: string,
    signal: AbortSignal,
    action: (docker: Docker, call: { abortSignal: AbortSignal }) => Promise<unknown>,
  ): Promise<T> {
    const opened = withDeadline(
      what,
      callDeadlineMs,
      this.clock,
      () => action(this.docker, { abortSignal: signal }),
      signal,
    );
    try {
      return (await opened) as T;
    } catch (error) {
      signal.throwIfAborted();
      throw engineError(what, error, this.#place);
    }
  }

  /** A handle on an exec that was made before. */
  exec(id: string): Docker.Exec {
    return this.docker.getExec(id);
  }

  info(signal?: AbortSignal): Promise<EngineInfo> {
    return this.call('read the engine', signal, (docker, call) => docker.info(call));
  }

  services(filters: Filters, signal?: AbortSignal): Promise<readonly Service[]> {
    return this.call('list services', signal, (docker, call) =>
      docker.listServices({ ...call, filters, status: true }),
    );
  }

  tasks(filters: Filters, signal?: AbortSignal): Promise<readonly Task[]> {
    return this.call('list tasks', signal, (docker, call) =>
      docker.listTasks({ ...call, filters }),
    );
  }

  nodes(signal?: AbortSignal): Promise<readonly SwarmNode[]> {
    return this.call('list nodes', signal, (docker, call) => docker.listNodes(call));
  }

  networks(filters: Filters, signal?: AbortSignal): Promise<readonly Network[]> {
    return this.call('list networks', signal, (docker, call) =>
      docker.listNetworks({ ...call, filters }),
    );
  }

  /** By its id, also one that lists leave out. */
  network(id: string, signal?: AbortSignal): Promise<Network> {
    return this.call('read a network', signal, (docker, call) =>
      docker.getNetwork(id).inspect(call),
    );
  }

  configs(filters: Filters, signal?: AbortSignal): Promise<readonly FileObject[]> {
    return this.call('list configs', signal, (docker, call) =>
      docker.listConfigs({ ...call, filters }),
    );
  }

  secrets(filters: Filters, signal?: AbortSignal): Promise<readonly FileObject[]> {
    return this.call('list secrets', signal, (docker, call) =>
      docker.listSecrets({ ...call, filters }),
    );
  }

  /** Named volumes of this node. */
  /** Those that run. */
  containers(filters: Filters, signal?: AbortSignal): Promise<readonly ListedContainer[]> {
    return this.call('list containers', signal, (docker, call) =>
      docker.listContainers({ ...call, filters }),
    );
  }

  async volumes(filters: Filters, signal?: AbortSignal): Promise<readonly Volume[]> {
    const found = await this.call<{ Volumes: readonly Volume[] | null }>(
      'list volumes',
      signal,
      (docker, call) => docker.listVolumes({ ...call, filters }),
    );
    return found.Volumes ?? [];
  }
}

function checkServerIdentity(_host: string, { subject }: PeerCertificate): Error | undefined {
  return subject.CN === helperName ? undefined : new Error('the peer is no helper of a node');
}

/** Whether an error says that the object is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof NotFoundError;
}

/** Calls a removal; what is absent already counts as removed. */
export async function removed(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

interface HttpFailure {
  readonly statusCode?: number;
  readonly code?: string;
  readonly message: string;
  readonly json?: { readonly message?: string } | Buffer | null;
}

/** The one place that reads the engine's failures. */
export function engineError(what: string, thrown: unknown, place: string): Error {
  if (thrown instanceof DriverError) return thrown;
  if (thrown instanceof DeadlineError)
    return new DriverError('EngineUnreachable', thrown.message, { cause: thrown });
  const failure = thrown as HttpFailure;
  const text = messageOf(failure);
  const message = `${what}: ${text}`;
  const options = { cause: thrown };
  if (failure.statusCode === undefined)
    return new DriverError('EngineUnreachable', `${what} at ${place}: ${text}`, options);
  if (isLeaderless(text)) return new DriverError('QuorumLost', message, options);
  if (/not a swarm manager|not part of a swarm/i.test(text))
    return new DriverError('NotASwarmManager', message, options);
  // A network that goes at this moment is told as an error of the server.
  if (failure.statusCode === 404 || /^network \S+ not found$/.test(text))
    return new NotFoundError(message, options);
  if (failure.statusCode === 409 || /update out of sequence/i.test(text))
    return new ConflictError(message, options);
  if (failure.statusCode === 400 || /InvalidArgument/.test(text))
    return new DriverError('InvalidSpec', message, { ...options, permanent: true });
  return new DriverError('DeployFailed', message, options);
}

export function isLeaderless(text: string): boolean {
  return /does not have a leader|no leader|lost leader status|context deadline exceeded|lost quorum/i.test(
    text,
  );
}

/** What the engine said, without docker-modem's frame around it. */
function messageOf(failure: HttpFailure): string {
  const { json } = failure;
  const said = json && !Buffer.isBuffer(json) ? json.message : undefined;
  const text = said ?? describeError(failure);
  return text.replace(/^rpc error: code = \w+ desc = /, '').trim();
}
