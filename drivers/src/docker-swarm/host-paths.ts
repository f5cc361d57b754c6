/**
 * Which folders of the nodes a stack mounts, and whether it may. Pure.
 *
 * Guarantees: what mounts a path of the node counts, a bind mount as well as a volume of the local driver
 * that binds one; paths are compared after `..` is resolved; none is allowed that the plan does not name or
 * lie in one that it names. Links on the node are the node's: who allows a folder allows what links in it.
 */
import { posix } from 'node:path';
import { appInstReasons } from '@cloudlet/crds';
import { DriverError } from '@cloudlet/runtime/base';
import type { Mount, StackPlan } from '../compose/index.ts';

/** @throws DriverError that names the path and where it would have to be allowed. */
export function refuseHostPaths({ services }: StackPlan, allowed: readonly string[]): void {
  for (const { name, spec } of services)
    for (const path of (spec.TaskTemplate.ContainerSpec.Mounts ?? []).flatMap(hostPathOf))
      if (!allowed.some((one) => isWithin(path, one))) refuse(name, path);
}

function refuse(service: string, path: string): never {
  throw new DriverError(
    appInstReasons.HostPathNotAllowed,
    `services.${service}.volumes: ${path} is a path of the node; whoever runs the site may allow it in the Cloudlet's spec.dockerSwarm.hostPaths, or use a named volume`,
    { permanent: true },
  );
}

/** File systems that come over the network or from memory: their device is no path of the node. */
const foreign = ['nfs', 'nfs4', 'cifs', 'tmpfs'];
/** Flags that make the kernel take the device for a path, whatever file system is named beside them. */
const local = ['bind', 'rbind', 'move', 'remount'];

function hostPathOf({ Type, Source, VolumeOptions }: Mount): readonly string[] {
  if (Type === 'bind') return [posix.resolve('/', Source ?? '')];
  const { Name = 'local', Options = {} } = VolumeOptions?.DriverConfig ?? {};
  if (Type !== 'volume' || Name !== 'local' || Object.keys(Options ?? {}).length === 0) return [];
  const { device = '', type = '', o = '' } = Options;
  const flags = o.split(',').map((flag) => flag.trim());
  const isLocal = flags.some((flag) => local.includes(flag));
  if (foreign.includes(type) && !isLocal && !device.startsWith('/')) return [];
  // A path in the options, such as the lower folders of an overlay, is one of the node like the device.
  const paths = flags.flatMap((flag) => /^[^=]*=(.*\/.*)$/.exec(flag)?.[1]?.split(':') ?? []);
  if (device === '' && paths.length === 0) return [];
  // The engine's own folder is / : a path without one begins there.
  return [device, ...paths].map((path) => posix.resolve('/', path));
}

function isWithin(path: string, folder: string): boolean {
  const within = posix.resolve('/', folder);
  return path === within || path.startsWith(within === '/' ? '/' : `${within}/`);
}
