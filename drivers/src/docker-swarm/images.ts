/**
 * Which image a service gets: the reference with its digest, and the platforms it exists for.
 *
 * Guarantees: an image is looked up before anything is placed; one that the registry does not have, or that
 * no node can run, is a permanent failure that names it; when the registry does not answer, an image that
 * this node has is used as it is, since a site must be able to restart what it has without its uplink, and
 * for another one it is asked again.
 */
import { appInstReasons, type Plan } from '@cloudlet/crds';
import { DriverError, NotFoundError } from '@cloudlet/runtime/base';
import type { Engine } from './engine.ts';
import type { Distribution, LocalImage, Platform } from './engine-types.ts';

export interface ResolvedImage {
  /** With its digest where one is known. */
  readonly reference: string;
  /** Such as linux/arm/v7; empty where nothing is known. */
  readonly platforms: readonly string[];
  readonly warning?: string;
}

/** Whose registries' credentials are used. */
type Credited = Pick<Plan, 'registryAuth'>;

export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly serveraddress: string;
}

export async function resolveImage(
  engine: Engine,
  image: string,
  plan: Credited,
  signal: AbortSignal,
): Promise<ResolvedImage> {
  const auth = credentialsFor(image, plan);
  try {
    const found = await engine.call<Distribution>(
      `look up image ${image}`,
      signal,
      (docker, call) =>
        docker.getImage(image).distribution({ ...call, ...(auth ? { authconfig: auth } : {}) }),
    );
    return {
      reference: withDigest(image, found.Descriptor.digest),
      platforms: found.Platforms.map(platformName).filter((name) => name !== undefined),
    };
  } catch (error) {
    signal.throwIfAborted();
    return await localImage(engine, image, error, signal);
  }
}

/** The registry did not give it: perhaps this node has it. */
async function localImage(
  engine: Engine,
  image: string,
  cause: unknown,
  signal: AbortSignal,
): Promise<ResolvedImage> {
  if (isDenied(cause)) throw missing(image, cause);
  try {
    const found = await engine.call<LocalImage>(`read image ${image}`, signal, (docker, call) =>
      docker.getImage(image).inspect(call),
    );
    const digest = found.RepoDigests?.[0]?.split('@')[1];
    const platform = platformName({
      os: found.Os,
      architecture: found.Architecture,
      ...(found.Variant ? { variant: found.Variant } : {}),
    });
    return {
      reference: digest ? withDigest(image, digest) : image,
      platforms: platform ? [platform] : [],
      warning: `image ${image}: its registry does not answer; the copy at the site is used`,
    };
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    if (isUnknown(cause)) throw missing(image, cause);
    // Not ImageNotFound, which would end the roll-out: the registry may answer at the next try.
    throw new DriverError(
      appInstReasons.DeployFailed,
      `image ${image}: its registry does not answer, and the site has no copy`,
      { cause },
    );
  }
}

function missing(image: string, cause: unknown): DriverError {
  const text = cause instanceof Error ? cause.message : '';
  const why = isDenied(cause) ? 'access denied' : 'the registry has no such image';
  return new DriverError(appInstReasons.ImageNotFound, `image ${image}: ${why} (${text})`, {
    cause,
    permanent: true,
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : '');
const isDenied = (error: unknown): boolean =>
  /unauthorized|denied|forbidden|authentication required/i.test(messageOf(error));
const isUnknown = (error: unknown): boolean =>
  error instanceof NotFoundError ||
  /manifest unknown|not found|name unknown|no such image|invalid reference/i.test(messageOf(error));

/** @throws DriverError when no node runs any of the image's platforms. */
export function checkArchitecture(
  image: string,
  platforms: readonly string[],
  site: readonly string[],
): void {
  if (platforms.length === 0 || site.length === 0) return;
  if (platforms.some((platform) => site.includes(platform))) return;
  throw new DriverError(
    appInstReasons.ArchitectureMismatch,
    `image ${image} is for ${platforms.join(', ')}; the site runs ${site.join(', ')}`,
    { permanent: true },
  );
}

/** `linux/arm/v7` and the like; 64-bit variants that all machines share are left out. */
export function platformName({ os, architecture, variant }: Platform): string | undefined {
  if (os !== 'linux' || !architecture || architecture === 'unknown') return undefined;
  const names: Record<string, string> = {
    x86_64: 'amd64',
    aarch64: 'arm64',
    armv7l: 'arm/v7',
    armv6l: 'arm/v6',
    armhf: 'arm/v7',
    i686: '386',
    i386: '386',
  };
  const name = names[architecture] ?? architecture;
  if (name === 'arm') return `linux/arm/${variant ?? 'v7'}`;
  return `linux/${name}`;
}

/** Credentials of the image's registry, from the plan's base64 of `user:password`. */
export function credentialsFor(image: string, plan: Credited): Credentials | undefined {
  const host = registryOf(image);
  const aliases =
    host === 'docker.io' ? [host, 'index.docker.io', 'https://index.docker.io/v1/'] : [host];
  const encoded = aliases.map((name) => plan.registryAuth?.[name]).find((found) => found);
  if (encoded === undefined) return undefined;
  const [username = '', ...rest] = Buffer.from(encoded, 'base64').toString('utf8').split(':');
  return { username, password: rest.join(':'), serveraddress: host };
}

export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? first : 'docker.io';
}

/** `name:tag@sha256:...`, as the command-line tool writes it. */
function withDigest(image: string, digest: string): string {
  return image.includes('@') ? image : `${withTag(image)}@${digest}`;
}

function withTag(image: string): string {
  const last = image.slice(image.lastIndexOf('/') + 1);
  return last.includes(':') ? image : `${image}:latest`;
}
