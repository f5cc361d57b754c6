/**
 * Whether an engine has an image or can pull it: the one question on which beds choose between images of others
 * and what they make themselves.
 *
 * Guarantees: an answer within the deadline, never an error: a registry that refuses, cannot be reached or does
 * not answer is an answer, with the engine's own words.
 */
import { type CommandOptions, DeadlineError, describeError } from '@cloudlet/runtime/base';

export interface ImageEngine {
  /** Runs docker against it; standard output. */
  docker(args: readonly string[], options?: CommandOptions): Promise<string>;
  hasImage(name: string): Promise<boolean>;
}

export type ImageAnswer =
  /** It was there: no registry was asked. */
  | { readonly kind: 'Here' }
  | { readonly kind: 'Pulled' }
  /** The engine or the registry says no, or the registry cannot be reached. */
  | { readonly kind: 'Refused'; readonly reason: string }
  | { readonly kind: 'TimedOut'; readonly reason: string };

export interface AskOptions {
  /** Images of nodes are some hundred megabytes. @default 15 minutes */
  readonly timeoutMs?: number;
  /** Called before a registry is asked. */
  readonly onPull?: () => void;
  readonly signal?: AbortSignal;
}

/** @throws only what `signal` aborts with. */
export async function askForImage(
  engine: ImageEngine,
  name: string,
  { timeoutMs = 15 * 60_000, onPull, signal }: AskOptions = {},
): Promise<ImageAnswer> {
  try {
    if (await engine.hasImage(name)) return { kind: 'Here' };
    onPull?.();
    await engine.docker(['pull', '--quiet', name], { timeoutMs, ...(signal && { signal }) });
    return { kind: 'Pulled' };
  } catch (error) {
    signal?.throwIfAborted();
    const [reason = ''] = describeError(error).trim().split('\n').slice(-1);
    return { kind: error instanceof DeadlineError ? 'TimedOut' : 'Refused', reason };
  }
}

/** Why the image cannot be had; undefined where it is there. */
export function whyNoImage(answer: ImageAnswer): string | undefined {
  switch (answer.kind) {
    case 'Here':
    case 'Pulled':
      return undefined;
    case 'Refused':
    case 'TimedOut':
      return `it cannot be pulled (${answer.reason})`;
  }
}
