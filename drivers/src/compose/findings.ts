/**
 * What is wrong with a compose file and what is worth saying about it, each with the path of its key.
 *
 * Guarantees: reading goes on after a mistake, so that a person sees all of them at once; the lists are
 * bounded; a value that came from a variable is never quoted, because it may be secret.
 */
import { DriverError } from '@cloudlet/runtime/base';

export interface Mistake {
  /** Such as `services.web.ports[1]`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong and what to write instead. */
  readonly message: string;
}

/** The compose file cannot be run: only another file helps. `mistakes` has all that were found. */
export class ComposeError extends DriverError {
  readonly mistakes: readonly Mistake[];
  constructor(mistakes: readonly Mistake[], options?: { cause?: unknown }) {
    super('InvalidCompose', messageOf(mistakes), { ...options, permanent: true });
    this.mistakes = mistakes;
  }
}

const maxMistakes = 100;
const maxShown = 20;
const maxWarnings = 200;
const maxLength = 400;

export class Findings {
  readonly #mistakes: Mistake[] = [];
  readonly #warnings = new Set<string>();

  mistake(path: string, message: string): void {
    if (this.#mistakes.length >= maxMistakes) return;
    const found = { path: clip(path), message: clip(message) };
    if (
      this.#mistakes.some((known) => known.path === found.path && known.message === found.message)
    )
      return;
    this.#mistakes.push(found);
  }

  warn(path: string, message: string): void {
    if (this.#warnings.size < maxWarnings) this.#warnings.add(clip(`${path}: ${message}`));
  }

  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  get isClean(): boolean {
    return this.#mistakes.length === 0;
  }

  /** @throws ComposeError when there is a mistake. */
  throwIfWrong(): void {
    if (!this.isClean) throw new ComposeError(this.#mistakes);
  }
}

/** The path of a key within what `path` names. */
export function keyPath(path: string, key: string): string {
  const shown = /^[\w.-]{1,100}$/.test(key) ? key : JSON.stringify(clip(key, 60));
  return path === '' ? shown : `${path}.${shown}`;
}

export function itemPath(path: string, index: number): string {
  return `${path}[${index}]`;
}

function messageOf(mistakes: readonly Mistake[]): string {
  const shown = mistakes
    .slice(0, maxShown)
    .map(({ path, message }) => (path ? `${path}: ${message}` : message));
  const more = mistakes.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

function clip(text: string, length = maxLength): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
