/** What every command of the plugin is made of, and what it gets. */
import type { Clock, FlagTable } from '@cloudlet/runtime/base';
import type { ClusterAccess, KubernetesClient } from '@cloudlet/runtime/kubernetes';
import type { Terminal } from './terminal.ts';

export const exitCodes = { ok: 0, failed: 1, usage: 2 } as const;

export interface Flags {
  readonly [name: string]: string | number | boolean | readonly string[] | undefined;
}

/** The region, opened on first use: `convert` and `--help` need none. */
export interface RegionAccess {
  readonly client: KubernetesClient;
  readonly access: ClusterAccess;
  /** The namespace that counts: flag, context, `default`. */
  readonly namespace: string;
}

export interface CommandContext {
  readonly flags: Flags;
  readonly positionals: readonly string[];
  /** What followed `--`. */
  readonly command: readonly string[] | undefined;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Of the plugin. */
  readonly version: string;
  region(): RegionAccess;
}

export interface Command {
  readonly name: string;
  /** Behind `kubectl cloudlet`. */
  readonly usage: string;
  readonly summary: string;
  /** What a person might take it for, in `--help`. */
  readonly note?: string;
  readonly flags: FlagTable;
  /** Letters of short flags. */
  readonly shorts?: Readonly<Record<string, string>>;
  readonly examples: readonly string[];
  /** @returns the exit code. */
  run(context: CommandContext): Promise<number>;
}
