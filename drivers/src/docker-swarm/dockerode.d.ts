/** The part of dockerode that the driver calls; the package has no types of its own. */
declare module 'dockerode' {
  import type { Duplex, Readable } from 'node:stream';
  import type { PeerCertificate } from 'node:tls';

  interface Call {
    abortSignal?: AbortSignal;
  }
  interface AuthConfig {
    username: string;
    password: string;
    serveraddress: string;
  }
  interface Filtered extends Call {
    filters?: Record<string, readonly string[]>;
  }
  interface LogQuery extends Call {
    follow?: boolean;
    stdout?: boolean;
    stderr?: boolean;
    since?: number;
    timestamps?: boolean;
    tail?: number | 'all';
  }
  interface ExecQuery extends Call {
    Cmd: readonly string[];
    AttachStdin?: boolean;
    AttachStdout?: boolean;
    AttachStderr?: boolean;
    Tty?: boolean;
    ConsoleSize?: readonly [number, number];
  }
  interface Exec {
    start(opts: Call & { hijack: boolean; stdin: boolean; Tty?: boolean }): Promise<Duplex>;
    resize(opts: Call & { h: number; w: number }): Promise<unknown>;
    inspect(opts: Call): Promise<unknown>;
  }
  interface Removable {
    inspect(opts: Call): Promise<unknown>;
    remove(opts: Call & { force?: boolean; v?: boolean }): Promise<unknown>;
  }
  interface Container extends Removable {
    start(opts: Call): Promise<unknown>;
    stop(opts: Call & { t?: number }): Promise<unknown>;
    rename(opts: Call & { name: string }): Promise<unknown>;
    kill(opts: Call & { signal: string }): Promise<unknown>;
    exec(opts: ExecQuery): Promise<Exec>;
    logs(opts: LogQuery & { follow: true }): Promise<Readable>;
    wait(opts: Call): Promise<unknown>;
  }
  interface Versioned<Spec> {
    /** A number: what a list or `inspect` gave as `Version.Index`. */
    _query: { version: number; rollback?: 'previous'; registryAuthFrom?: 'spec' | 'previous-spec' };
    _body: Spec;
  }
  interface Service extends Removable {
    update(
      auth: AuthConfig | undefined,
      opts: Call & Versioned<unknown>,
    ): Promise<{ Warnings?: readonly string[] | null }>;
    logs(opts: LogQuery): Promise<Readable | Buffer>;
  }
  interface Node extends Removable {
    update(opts: Call & Versioned<unknown>): Promise<unknown>;
  }
  interface Image extends Removable {
    distribution(opts: Call & { authconfig?: AuthConfig }): Promise<unknown>;
  }
  interface Task {
    inspect(opts: Call): Promise<unknown>;
    logs(opts: LogQuery): Promise<Readable | Buffer>;
  }

  class Docker {
    constructor(
      options:
        | { socketPath: string; host?: undefined }
        | {
            host: string;
            port: number;
            protocol: 'https';
            key: string;
            cert: string;
            ca: string;
            checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
          },
    );
    info(opts: Call): Promise<unknown>;
    version(opts: Call): Promise<unknown>;
    getEvents(opts: Filtered & { since?: number }): Promise<Readable>;
    listServices(opts: Filtered & { status?: boolean }): Promise<unknown>;
    listTasks(opts: Filtered): Promise<unknown>;
    listNodes(opts: Filtered): Promise<unknown>;
    listNetworks(opts: Filtered): Promise<unknown>;
    listConfigs(opts: Filtered): Promise<unknown>;
    listSecrets(opts: Filtered): Promise<unknown>;
    listVolumes(opts: Filtered): Promise<unknown>;
    listContainers(opts: Filtered & { all?: boolean }): Promise<unknown>;
    createService(
      auth: AuthConfig | undefined,
      opts: Call & { [field: string]: unknown },
    ): Promise<{ id: string }>;
    createNetwork(opts: Call & { [field: string]: unknown }): Promise<{ id: string }>;
    createConfig(opts: Call & { [field: string]: unknown }): Promise<{ id: string }>;
    createSecret(opts: Call & { [field: string]: unknown }): Promise<{ id: string }>;
    createContainer(opts: Call & { name?: string; [field: string]: unknown }): Promise<Container>;
    createImage(
      auth: AuthConfig | undefined,
      opts: Call & { fromImage: string },
    ): Promise<Readable>;
    getService(id: string): Service;
    getNode(id: string): Node;
    getNetwork(id: string): Removable;
    getConfig(id: string): Removable;
    getSecret(id: string): Removable;
    getVolume(name: string): Removable;
    getContainer(id: string): Container;
    getImage(name: string): Image;
    getTask(id: string): Task;
    getExec(id: string): Exec;
    swarmInspect(opts: Call): Promise<unknown>;
  }
  namespace Docker {
    export type { AuthConfig, Call, Container, Exec, ExecQuery, LogQuery, Service };
  }
  export = Docker;
}
