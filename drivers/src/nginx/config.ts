/**
 * nginx's configuration for UDP ports as text. Pure.
 *
 * Guarantees: the same input gives the same text; nothing that a person wrote reaches it but names that the
 * API bounds. Datagrams of one client go to one task for as long as the tasks stay: by its address, so that
 * they do over a reload, too. One worker, for the workers of one socket would share a client's datagrams out.
 */
import type { Frontend, Server } from '../haproxy/model.ts';

/** Folder of the configuration, as the container sees it. */
export const insideDir = '/run/cloudlet-lb-udp';
export const configFile = 'nginx.conf';

export interface ConfigOptions {
  /** Whether the node has IPv6: then ports answer on both. */
  readonly ipv6: boolean;
}

export function renderConfig(frontends: readonly Frontend[], options: ConfigOptions): string {
  return [
    ...global,
    'stream {',
    // Without a datagram for so long a client is forgotten; its next one goes to the same task anyway.
    '  proxy_timeout 60s;',
    '  proxy_connect_timeout 4s;',
    ...frontends.flatMap((frontend) => section(frontend, options)),
    '}',
    '',
  ].join('\n');
}

const global = [
  '# Written by the agent; what is changed here by hand is lost.',
  // The capabilities are what bounds it: a worker of another user would need more of them to become it.
  'user root root;',
  // Where the stream module is a file of its own, as Debian has it; nothing there elsewhere.
  'include /etc/nginx/modules-enabled/*.conf;',
  'worker_processes 1;',
  'worker_shutdown_timeout 60s;',
  `pid ${insideDir}/nginx.pid;`,
  'error_log stderr warn;',
  'events { worker_connections 4096; }',
];

function section(frontend: Frontend, { ipv6 }: ConfigOptions): readonly string[] {
  const { name, publicPort } = frontend;
  const servers = serving(frontend);
  // A port that nobody serves is closed, and says so to its clients.
  if (servers.length === 0) return [`  # ${name}: no task runs`];
  return [
    `  upstream ${name} {`,
    '    hash $remote_addr consistent;',
    ...servers.map(({ address, port }) => `    server ${hostPort(address, port)} max_fails=0;`),
    '  }',
    '  server {',
    `    listen ${ipv6 ? `[::]:${publicPort} udp ipv6only=off` : `${publicPort} udp`};`,
    `    proxy_pass ${name};`,
    '  }',
  ];
}

/** Tasks that stay; those that were told to stop only while there is no other. */
export function serving({ servers }: Frontend): readonly Server[] {
  const staying = servers.filter(({ isLeaving }) => !isLeaving);
  return staying.length > 0 ? staying : servers;
}

/** Public ports that the configuration opens. */
export function portsIn(config: string): readonly number[] {
  return [...config.matchAll(/^ {4}listen (?:\[::\]:)?(\d+) udp/gm)].map(([, port]) =>
    Number(port),
  );
}

function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
