/**
 * What a file `e2e/bench/*.bench.ts` exports as `bench`.
 *
 * Figures are numbers by name; with the prefix they become keys such as `statusWrites.real.ratio`, the same in
 * the table and in the JSON. Where a peer or a baseline can run in the same run a figure is a ratio, since
 * machines differ. No bench fails on a clock: it measures, and the reader judges.
 */
import type { ControlPlane, Phones, Progress, Region } from '../testbed/index.ts';

export type BenchNeed = 'controlplane' | 'phones' | 'region';

export interface BenchContext {
  /** Of an administrator; with need controlplane. */
  readonly kubeconfig?: string;
  readonly controlPlane?: ControlPlane;
  /** Three phones in no swarm; with need phones. */
  readonly phones?: Phones;
  /** Operator, hub and access; with need region. */
  readonly region?: Region;
  /** A folder of the bench's own, removed afterwards. */
  readonly dir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface BenchResult {
  readonly figures: Readonly<Record<string, number>>;
  readonly notes?: readonly string[];
}

export interface Bench {
  readonly prefix: string;
  readonly needs: readonly BenchNeed[];
  /** Its figures are keys as they are; the prefix only chooses it. */
  readonly isNamedInFull?: boolean;
  /** Runs only where `--only` names it: it takes long. */
  readonly whenAsked?: boolean;
  run(context: BenchContext): Promise<BenchResult>;
}

export interface Target {
  readonly unit?: string;
  /** What is aimed at, with its direction, such as '<= 250'. */
  readonly target?: string;
  /** What a peer reaches, with its name and where it says so. */
  readonly peer?: string;
  /** Why it falls short where it does, as a sentence. */
  readonly short?: string;
}
