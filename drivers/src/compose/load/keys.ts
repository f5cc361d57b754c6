/**
 * Which keys a compose file may have, which do nothing on a swarm (noted, as `docker stack deploy` does), and
 * which cannot be kept and are refused with what to write instead.
 */
import type { KnownKeys } from '../field.ts';

const notOnSwarm = 'is ignored: a swarm service has no such setting';
const modern = 'is ignored: it belongs to `docker compose`, not to a swarm';
const limits = 'is not supported: set `deploy.resources` instead';

export const serviceKeys: KnownKeys = {
  known: [
    ...[
      'cap_add',
      'cap_drop',
      'command',
      'configs',
      'credential_spec',
      'depends_on',
      'deploy',
      'dns',
    ],
    ...[
      'dns_search',
      'entrypoint',
      'env_file',
      'environment',
      'expose',
      'extra_hosts',
      'healthcheck',
    ],
    ...['hostname', 'image', 'init', 'isolation', 'labels', 'logging', 'networks', 'oom_score_adj'],
    ...[
      'ports',
      'read_only',
      'restart',
      'secrets',
      'stdin_open',
      'stop_grace_period',
      'stop_signal',
    ],
    ...['sysctls', 'tmpfs', 'tty', 'ulimits', 'user', 'volumes', 'working_dir'],
    // Of the Compose specification; each is read into what a swarm has for it.
    ...['cpus', 'group_add', 'mem_limit', 'mem_reservation', 'pids_limit', 'profiles', 'scale'],
  ],
  ignored: {
    ...Object.fromEntries(
      [
        ...[
          'build',
          'cgroup_parent',
          'cgroupns_mode',
          'devices',
          'domainname',
          'external_links',
          'ipc',
        ],
        ...[
          'links',
          'mac_address',
          'network_mode',
          'pid',
          'privileged',
          'security_opt',
          'shm_size',
        ],
        ...['userns_mode'],
      ].map((key) => [key, notOnSwarm]),
    ),
    ...Object.fromEntries(
      [
        ...[
          'annotations',
          'attach',
          'blkio_config',
          'cgroup',
          'cpu_count',
          'cpu_percent',
          'cpu_period',
        ],
        ...['cpu_rt_period', 'cpu_rt_runtime', 'develop', 'device_cgroup_rules', 'label_file'],
        ...['mem_swappiness', 'oom_kill_disable', 'platform', 'pull_policy', 'pull_refresh_after'],
        ...['runtime', 'storage_opt', 'uts'],
      ].map((key) => [key, modern]),
    ),
    container_name: 'is ignored: a swarm names the containers of a service itself',
  },
  refused: {
    extends: 'is not supported: write the keys out, or share them with a YAML anchor and `<<`',
    volume_driver:
      'is not supported: define the volume under the top-level `volumes` with its driver',
    volumes_from: 'is not supported: name a volume of the top-level `volumes` in each service',
    cpu_quota: limits,
    cpu_shares: limits,
    cpuset: limits,
    memswap_limit: limits,
    gpus: 'is not supported: ask for `deploy.resources.reservations.generic_resources`',
    models: 'is not supported: run the model in a service of its own',
    provider: 'is not supported: a service needs an image',
    post_start: 'is not supported: run it from the entrypoint',
    pre_stop: 'is not supported: handle the stop signal in the container',
    use_api_socket: 'is not supported: containers get no access to the engine',
  },
};

export const topKeys: KnownKeys = {
  known: ['version', 'services', 'networks', 'volumes', 'configs', 'secrets'],
  ignored: { name: 'is ignored: the stack is named after the instance' },
  refused: {
    include: 'is not supported: put everything into one file',
    models: 'is not supported: run the model in a service of its own',
  },
};

export const deployKeys: KnownKeys = {
  known: [
    ...['mode', 'replicas', 'endpoint_mode', 'labels', 'update_config', 'rollback_config'],
    ...['resources', 'restart_policy', 'placement'],
  ],
};

export const healthcheckKeys: KnownKeys = {
  known: ['disable', 'interval', 'retries', 'test', 'timeout', 'start_period', 'start_interval'],
};

export const mountKeys: KnownKeys = {
  known: [
    'type',
    'source',
    'target',
    'read_only',
    'consistency',
    'bind',
    'volume',
    'tmpfs',
    'cluster',
  ],
  refused: { image: 'is not supported: copy the files in the image, or use a config' },
};

export const networkKeys: KnownKeys = {
  known: [
    ...['name', 'driver', 'driver_opts', 'ipam', 'external', 'internal', 'attachable', 'labels'],
    'enable_ipv6',
  ],
  ignored: { enable_ipv4: notOnSwarm },
};

export const volumeKeys: KnownKeys = {
  known: ['name', 'driver', 'driver_opts', 'external', 'labels'],
};

export const configKeys: KnownKeys = {
  known: ['name', 'file', 'content', 'environment', 'external', 'labels', 'template_driver'],
  refused: { driver: 'is for secrets only', driver_opts: 'is for secrets only' },
};

export const secretKeys: KnownKeys = {
  known: [...configKeys.known, 'driver', 'driver_opts'],
};

export const attachmentKeys: KnownKeys = {
  known: ['aliases', 'driver_opts'],
  ignored: Object.fromEntries(
    ['ipv4_address', 'ipv6_address', 'link_local_ips', 'mac_address', 'priority', 'gw_priority']
      .concat('interface_name')
      .map((key) => [key, 'is ignored: a swarm gives out addresses itself']),
  ),
};
