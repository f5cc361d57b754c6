/** The agent's flags and exit codes. */
import { type FlagTable, helpOf, levels, type parseFlags } from '@cloudlet/runtime/base';

export const agentFlags = {
  'state-dir': {
    type: 'string',
    description: 'Folder of the agent: key, certificate and desired state.',
    default: '/var/lib/cloudlet-agent',
  },
  'join-file': {
    type: 'string',
    description:
      "What 'kubectl cloudlet join NAME' printed; - is standard input. Needed on the first start only.",
  },
  driver: {
    type: 'string',
    description: 'What the site runs instances on.',
    default: 'docker-swarm',
    oneOf: ['docker-swarm', 'fake'],
  },
  'docker-socket': {
    type: 'string',
    description: "The engine's socket, on a manager of the swarm.",
    default: '/var/run/docker.sock',
  },
  'lb-image': {
    type: 'string',
    description: "Image of HAProxy, this node's load balancer; none for no load balancer.",
    default: 'haproxy:3.2',
  },
  'lb-udp-image': {
    type: 'string',
    description: 'Image of nginx, for UDP ports; none for no UDP ports.',
    default: 'nginx:1.28',
  },
  'helper-image': {
    type: 'string',
    description:
      "Image of this program for the swarm's nodes, where it lets the agent run programs and remove volumes; none for none.",
    default: 'none',
  },
  'helper-port': {
    type: 'number',
    description: 'Port of the helpers, the same on every node.',
    default: 20800,
  },
  address: {
    type: 'list',
    description: 'Where public ports answer. Default: the address of this manager in the swarm.',
  },
  member: {
    type: 'string',
    description: 'Name of this machine. Default: its host name.',
  },
  'health-address': {
    type: 'string',
    description: 'host:port of /healthz, /readyz and /metrics; off for none.',
    default: '127.0.0.1:9440',
  },
  'log-level': {
    type: 'string',
    description: 'The least that is logged.',
    default: 'info',
    oneOf: levels,
  },
  version: { type: 'boolean', description: 'Print the version and exit.' },
  help: { type: 'boolean', description: 'Print this text and exit.' },
} as const satisfies FlagTable;

export type AgentFlags = ReturnType<typeof parseFlags<typeof agentFlags>>['flags'];

export const exitCodes = {
  ended: 0,
  failed: 1,
  /** Flags that are wrong. */
  usage: 2,
  /** No join, or one that is not for this folder. */
  notJoined: 3,
  /** The state folder cannot be used, or another agent uses it. */
  noState: 4,
} as const;

export function helpText(): string {
  const usage =
    'cloudlet-agent [--join-file FILE] [flags] | cloudlet-agent node [flags] | cloudlet-agent doctor [flags]';
  const summary = 'The agent of a Cloudlet: runs at the site what the region wants of it.';
  return [
    helpOf(usage, summary, agentFlags),
    'Environment:',
    '  HTTPS_PROXY, NO_PROXY  the way to the region',
    '',
    'Exit codes:',
    '  0  ended by SIGTERM or SIGINT',
    '  1  failed; start it again',
    '  2  a flag is wrong',
    '  3  there is no join, or it is for another Cloudlet',
    '  4  the state folder cannot be used, or another agent uses it',
    '',
  ].join('\n');
}
