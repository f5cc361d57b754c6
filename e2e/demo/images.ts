/**
 * The demo's images: the shop and the panel from their Go source for both architectures, PostgreSQL and
 * RabbitMQ from Debian's packages for the engines' own.
 */
import { join } from 'node:path';
import { buildGo } from '../testbed/binaries.ts';
import { cacheDir } from '../testbed/host.ts';
import type { Architecture } from '../testbed/images/debian.ts';
import { buildImage, type ImageOptions } from '../testbed/images/image.ts';
import { type PushedImage, pushImages } from '../testbed/images/registry.ts';
import type { Progress } from '../testbed/progress.ts';

const folder = import.meta.dirname;

const system = ['dash', 'coreutils', 'util-linux', 'sed', 'grep', 'libc-bin', 'zlib1g'];

/** A user as its Debian package would make it; maintainer scripts do not run in an image. */
const accounts = (name: string, id: number, home: string): ImageOptions['files'] => ({
  '/etc/passwd': {
    content: `root:x:0:0:root:/root:/bin/sh\n${name}:x:${id}:${id}::${home}:/bin/sh\n`,
  },
  '/etc/group': { content: `root:x:0:\n${name}:x:${id}:\n` },
  '/tmp/.keep': { content: '' },
});

const packaged: readonly Omit<ImageOptions, 'architecture'>[] = [
  {
    name: 'postgres:15',
    packages: [...system, 'postgresql-15', 'postgresql-client-15', 'tzdata'],
    files: {
      ...accounts('postgres', 999, '/var/lib/postgresql'),
      '/entrypoint': { from: join(folder, 'images/postgres-entrypoint.sh'), mode: 0o755 },
    },
    entrypoint: ['/entrypoint'],
    exposedPorts: [5432],
    stopSignal: 'SIGINT',
  },
  {
    name: 'rabbitmq:3',
    packages: [
      ...[...system, 'rabbitmq-server', 'openssl', 'procps', 'mawk', 'hostname'],
      ...['base', 'asn1', 'crypto', 'eldap', 'ftp', 'inets', 'mnesia', 'os-mon', 'parsetools'].map(
        (name) => `erlang-${name}`,
      ),
      ...[
        'public-key',
        'runtime-tools',
        'snmp',
        'ssl',
        'syntax-tools',
        'tftp',
        'tools',
        'xmerl',
      ].map((name) => `erlang-${name}`),
    ],
    files: {
      ...accounts('rabbitmq', 998, '/var/lib/rabbitmq'),
      '/entrypoint': { from: join(folder, 'images/rabbitmq-entrypoint.sh'), mode: 0o755 },
    },
    entrypoint: ['/entrypoint'],
    exposedPorts: [5672],
  },
];

/** Makes and pushes all that `coffee-shop.yaml` and `panel.yaml` name. */
export async function pushDemoImages(
  registry: string,
  progress: Progress,
): Promise<readonly PushedImage[]> {
  const pushed = [
    await pushProgram(registry, 'shop', 'coffee-shop:1', progress),
    await pushProgram(registry, 'panel', 'panel:1', progress),
  ];
  for (const options of packaged) {
    const image = await buildImage({ ...options, architecture: 'amd64', progress });
    pushed.push(await pushImages(registry, options.name, [image]));
  }
  return pushed;
}

async function pushProgram(
  registry: string,
  program: string,
  name: string,
  progress: Progress,
): Promise<PushedImage> {
  const images = [];
  for (const architecture of ['amd64', 'arm/v7'] as const) {
    const binary = await buildProgram(program, architecture, progress);
    images.push(
      await buildImage({
        name,
        architecture,
        files: { '/app': { from: binary } },
        entrypoint: ['/app'],
      }),
    );
  }
  return pushImages(registry, name, images);
}

/** `go build` decides by itself whether anything changed. */
async function buildProgram(
  program: string,
  architecture: Architecture,
  progress: Progress,
): Promise<string> {
  const binary = cacheDir('bin', 'demo', `${program}-${architecture.replace('/', '-')}`);
  const env = architecture === 'amd64' ? { GOARCH: 'amd64' } : { GOARCH: 'arm', GOARM: '7' };
  await buildGo({
    name: `${program} (${architecture})`,
    source: folder,
    path: `./${program}`,
    binary,
    env: { ...env, GOOS: 'linux', CGO_ENABLED: '0' },
    progress,
  });
  return binary;
}
