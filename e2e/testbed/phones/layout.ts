/** Names, addresses and files of a set of phones; all of them follow from prefix, net and state folder. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TerminalError } from '@cloudlet/runtime/base';

export interface PhonesLayout {
  /** Phones are called prefix1, prefix2, ... */
  readonly prefix: string;
  /** First three numbers of the /24. */
  readonly net: string;
  /** State folder. */
  readonly state: string;
  /** Network namespace of the bridge and the registry. */
  readonly lan: string;
  /** This host's leg on the bridge. */
  readonly hostLink: string;
  readonly hostIp: string;
  /** Host and port of the registry. */
  readonly registry: string;
  /** Below every cgroup hierarchy. */
  readonly cgroup: string;
}

export interface PhoneLayout {
  readonly name: string;
  readonly ip: string;
  readonly dir: string;
  readonly socketPath: string;
}

export interface PhonesName {
  readonly prefix: string;
  readonly net: string;
  readonly state: string;
}

/** @throws TerminalError (`InvalidTestbed`) when a name would not fit where it is used. */
export function layoutOf({ prefix, net, state }: PhonesName): PhonesLayout {
  if (!/^[a-z]([a-z0-9]{0,6}[a-z])?$/.test(prefix)) {
    throw invalid(
      `prefix '${prefix}': 1 to 8 small letters and digits are wanted (link names), no digit last (phones are numbered)`,
    );
  }
  if (!/^\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(net)) {
    throw invalid(`net '${net}': three numbers with dots are wanted, such as 10.79.0`);
  }
  if (state.length > 75)
    throw invalid(`state folder '${state}': too long for a unix socket's path`);
  return {
    prefix,
    net,
    state,
    lan: `${prefix}-lan`,
    hostLink: `${prefix}-host`,
    hostIp: `${net}.1`,
    registry: `${net}.2:5000`,
    cgroup: `${prefix}s`,
  };
}

function invalid(message: string): TerminalError {
  return new TerminalError('InvalidTestbed', message);
}

export function phoneLayout(layout: PhonesLayout, number: number): PhoneLayout {
  const name = `${layout.prefix}${number}`;
  const dir = join(layout.state, name);
  return { name, ip: `${layout.net}.${number + 10}`, dir, socketPath: join(dir, 'docker.sock') };
}

/** Folders of every cgroup hierarchy of this machine: one on v2, several on v1. */
export function cgroupHierarchies(): string[] {
  const root = '/sys/fs/cgroup';
  const below = readdirSync(root)
    .map((name) => join(root, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory());
  return [root, ...below].filter((path) =>
    statSync(join(path, 'cgroup.procs'), { throwIfNoEntry: false }),
  );
}
