/** Mounts of a service, and the named volumes that the engine makes for them. */
import type { Mount } from '../engine.ts';
import type { Findings } from '../findings.ts';
import type { ComposeMount, ComposeService, ComposeVolume } from '../model.ts';
import { scoped, withStackLabel } from './names.ts';

export interface MountContext {
  readonly stack: string;
  readonly volumes: ReadonlyMap<string, ComposeVolume>;
  readonly findings: Findings;
}

export function convertMounts(service: ComposeService, context: MountContext): readonly Mount[] {
  return service.mounts.flatMap((mount) => convertMount(mount, context) ?? []);
}

function convertMount(mount: ComposeMount, context: MountContext): Mount | undefined {
  const base = {
    Type: mount.type,
    ...(mount.source ? { Source: mount.source } : {}),
    Target: mount.target,
    ...(mount.readOnly ? { ReadOnly: true } : {}),
    ...(mount.consistency ? { Consistency: mount.consistency } : {}),
  };
  switch (mount.type) {
    case 'volume':
      return mount.source === '' ? base : namedVolume(mount, base, context);
    case 'bind':
    case 'npipe':
      if (mount.propagation === undefined) return base;
      return {
        ...base,
        BindOptions: mount.propagation ? { Propagation: mount.propagation } : {},
      };
    case 'tmpfs':
      if (mount.tmpfsBytes === undefined) return base;
      return { ...base, TmpfsOptions: mount.tmpfsBytes ? { SizeBytes: mount.tmpfsBytes } : {} };
    case 'cluster':
      return clusterVolume(mount, base, context);
  }
}

function namedVolume(mount: ComposeMount, base: Mount, context: MountContext): Mount | undefined {
  const volume = defined(mount, context);
  if (!volume) return undefined;
  const options = {
    ...(mount.volume?.noCopy ? { NoCopy: true } : {}),
    ...(mount.volume?.subpath ? { Subpath: mount.volume.subpath } : {}),
  };
  const Source =
    volume.name || (volume.external ? mount.source : scoped(context.stack, mount.source));
  if (volume.external) return { ...base, Source, VolumeOptions: options };
  const hasDriver = volume.driver !== '' || volume.driverOpts !== undefined;
  const { driver, driverOpts = {} } = volume;
  const DriverConfig = {
    ...(driver ? { Name: driver } : {}),
    ...(Object.keys(driverOpts).length > 0 ? { Options: driverOpts } : {}),
  };
  return {
    ...base,
    Source,
    VolumeOptions: {
      ...options,
      Labels: withStackLabel(context.stack, volume.labels),
      ...(hasDriver ? { DriverConfig } : {}),
    },
  };
}

function clusterVolume(mount: ComposeMount, base: Mount, context: MountContext): Mount | undefined {
  if (mount.source.startsWith('group:')) return { ...base, ClusterOptions: {} };
  const volume = defined(mount, context);
  if (!volume) return undefined;
  const Source =
    volume.name || (volume.external ? mount.source : scoped(context.stack, mount.source));
  return { ...base, Source, ClusterOptions: {} };
}

function defined(mount: ComposeMount, context: MountContext): ComposeVolume | undefined {
  const volume = context.volumes.get(mount.source);
  if (!volume)
    context.findings.mistake(
      mount.path,
      'names a volume that the file does not define; add it under the top-level `volumes`',
    );
  return volume;
}
