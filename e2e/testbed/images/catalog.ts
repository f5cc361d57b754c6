/** The images that tests and demo use, made on this machine for both architectures of the phones. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildGo } from '../binaries.ts';
import { cacheDir } from '../host.ts';
import { noProgress, type Progress } from '../progress.ts';
import type { Architecture } from './debian.ts';
import { buildImage, digestOf, type Image, type ImageFile } from './image.ts';
import { type PushedImage, pushImages } from './registry.ts';

export interface CatalogOptions {
  /** @default both */
  readonly architectures?: readonly Architecture[];
  readonly progress?: Progress;
}

const both: readonly Architecture[] = ['amd64', 'arm/v7'];

export interface WebOptions extends CatalogOptions {
  /** What it answers with, and the image's tag. @default '1' */
  readonly version?: string;
  /** More environment, such as STOP_SECONDS; see images/web/main.go. */
  readonly env?: Readonly<Record<string, string>>;
  /** Name without tag. @default 'web' */
  readonly name?: string;
}

/** Makes the web server of the tests and pushes it as `web:<version>`. */
export async function pushWebImage(
  registry: string,
  options: WebOptions = {},
): Promise<PushedImage> {
  const { version = '1', env = {}, name = 'web', architectures = both } = options;
  const images: Image[] = [];
  for (const architecture of architectures) {
    const binary = await webBinary(architecture, options.progress ?? noProgress);
    images.push(
      await buildImage({
        name: `${name}:${version}`,
        architecture,
        files: { '/web': { from: binary } },
        entrypoint: ['/web'],
        env: { ...env, VERSION: version },
        exposedPorts: [8080],
      }),
    );
  }
  return pushImages(registry, `${name}:${version}`, images);
}

/** A static program of the standard library alone, so the image needs nothing else. */
async function webBinary(architecture: Architecture, progress: Progress): Promise<string> {
  const source = join(import.meta.dirname, 'web');
  const hash = digestOf(join(source, 'main.go')).slice('sha256:'.length, 'sha256:'.length + 12);
  const binary = cacheDir('bin', `web-${hash}`, architecture.replace('/', '-'));
  if (!existsSync(binary)) {
    const env = architecture === 'amd64' ? { GOARCH: 'amd64' } : { GOARCH: 'arm', GOARM: '7' };
    await buildGo({
      name: `web (${architecture})`,
      source,
      path: '.',
      binary,
      env: { ...env, GOOS: 'linux', GOFLAGS: '-mod=mod' },
      progress,
    });
  }
  return binary;
}

/** Makes Debian's HAProxy with a shell and pushes it as `haproxy:debian`. */
export function pushHaproxyImage(
  registry: string,
  options: CatalogOptions = {},
): Promise<PushedImage> {
  return pushPackaged(registry, options, {
    name: 'haproxy:debian',
    packages: ['haproxy', 'busybox-static'],
    command: ['/usr/sbin/haproxy', '-W', '-db', '-f', '/usr/local/etc/haproxy/haproxy.cfg'],
    stopSignal: 'SIGUSR1',
  });
}

/** Makes Debian's nginx with its stream module and pushes it as `nginx:debian`. */
export function pushNginxImage(
  registry: string,
  options: CatalogOptions = {},
): Promise<PushedImage> {
  return pushPackaged(registry, options, {
    name: 'nginx:debian',
    packages: ['nginx', 'libnginx-mod-stream', 'zlib1g', 'busybox-static'],
    files: {
      '/etc/passwd': { content: 'root:x:0:0:root:/:/bin/sh\n' },
      '/etc/group': { content: 'root:x:0:\n' },
      '/etc/nginx/modules-enabled/50-mod-stream.conf': {
        content: 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n',
      },
    },
    command: ['/usr/sbin/nginx', '-g', 'daemon off;'],
    stopSignal: 'SIGQUIT',
  });
}

/** Makes Debian's static busybox and pushes it as `busybox:debian`. */
export function pushBusyboxImage(
  registry: string,
  options: CatalogOptions = {},
): Promise<PushedImage> {
  return pushPackaged(registry, options, {
    name: 'busybox:debian',
    packages: ['busybox-static'],
    command: ['/bin/sh'],
  });
}

interface Packaged {
  readonly name: string;
  readonly packages: readonly string[];
  readonly command: readonly string[];
  readonly stopSignal?: string;
  readonly files?: Readonly<Record<string, ImageFile>>;
}

async function pushPackaged(
  registry: string,
  options: CatalogOptions,
  packaged: Packaged,
): Promise<PushedImage> {
  const images: Image[] = [];
  for (const architecture of options.architectures ?? both) {
    const progress = options.progress ?? noProgress;
    const shell = { '/bin/sh': { linkTo: 'busybox' } } as const;
    const files = { ...packaged.files, ...shell };
    images.push(await buildImage({ ...packaged, architecture, files, progress }));
  }
  return pushImages(registry, packaged.name, images);
}
