/**
 * HAProxy's configuration as text. Pure.
 *
 * Guarantees: the same input gives the same text. Nothing that a person wrote reaches it but names that the
 * API bounds (instance ids, port names) and a check's path, which is quoted. What changes over the runtime
 * API (servers in their slots) is in the text too, so that a restarted HAProxy begins where the last one was.
 */
import type { Check, Frontend } from './model.ts';
import type { Assignment, Slots } from './slots.ts';

/** Folder of the sockets and the configuration, as the container sees it. */
export const insideDir = '/run/cloudlet-lb';

export function renderConfig(
  frontends: readonly Frontend[],
  assignment: Assignment,
  options: ConfigOptions,
): string {
  return [
    ...global,
    ...frontends.flatMap((frontend) =>
      section(frontend, assignment.get(frontend.name) ?? [], options),
    ),
    '',
  ].join('\n');
}

/** The text without its servers: when it differs, HAProxy has to be reloaded. */
export function renderShape(
  frontends: readonly Frontend[],
  assignment: Assignment,
  options: ConfigOptions,
): string {
  const shapes = new Map(
    [...assignment].map(([name, slots]) => [name, slots.map(() => undefined)]),
  );
  return renderConfig(frontends, shapes, options);
}

export interface ConfigOptions {
  /** Whether the node has IPv6: then ports answer on both. */
  readonly ipv6: boolean;
}

export const slotName = (index: number): string => `s${index + 1}`;

const global = [
  '# Written by the agent; what is changed here by hand is lost.',
  'global',
  '  log stderr format raw local0 notice',
  `  stats socket ${insideDir}/stats.sock mode 600 level admin expose-fd listeners`,
  '  hard-stop-after 15m',
  '  maxconn 4096',
  'defaults',
  '  log global',
  '  timeout connect 4s',
  '  timeout client 5m',
  '  timeout server 5m',
  '  timeout tunnel 24h',
  '  timeout queue 10s',
  '  timeout check 2s',
  '  timeout http-request 30s',
  // A task that just went refuses: the next try goes to another one, or waits a second for one to come.
  '  retries 8',
  '  option redispatch 1',
  '  option clitcpka',
  '  option srvtcpka',
];

function section(frontend: Frontend, slots: Slots, { ipv6 }: ConfigOptions): readonly string[] {
  const { name, publicPort, mode, check } = frontend;
  return [
    `listen ${name}`,
    `  bind ${ipv6 ? `:::${publicPort} v4v6` : `:${publicPort}`}`,
    `  mode ${mode}`,
    '  balance leastconn',
    ...(mode === 'http' ? httpOptions : []),
    ...checkOptions(check),
    `  default-server ${check.type === 'None' ? '' : 'check inter 2s fastinter 500ms downinter 500ms rise 1 fall 3 '}init-addr none`,
    ...slots.map(serverLine),
  ];
}

const httpOptions = [
  '  option forwardfor',
  '  http-reuse never',
  '  retry-on conn-failure empty-response',
  // What may change something is not sent twice.
  '  http-request disable-l7-retry if !METH_GET !{ method HEAD OPTIONS }',
];

function checkOptions(check: Check): readonly string[] {
  if (check.type !== 'HTTP') return [];
  return [
    '  option httpchk',
    `  http-check send meth GET uri ${quoted(check.path ?? '/')} ver HTTP/1.1 hdr Host cloudlet`,
    '  http-check expect status 200-399',
  ];
}

function serverLine(server: Slots[number], index: number): string {
  return server
    ? `  server ${slotName(index)} ${server.address}:${server.port}`
    : `  server ${slotName(index)} 127.0.0.1:1 disabled`;
}

/** In single quotes nothing has a meaning to HAProxy but the quote itself. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
