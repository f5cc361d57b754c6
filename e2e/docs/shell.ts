/**
 * The commands of a shell block, for looking at them one by one.
 *
 * Guarantees: takes what documents need (quotes, comments, continued lines, pipes, `&&`, `||`, `;`, redirections
 * to and from files, assignments) and refuses by name what it does not understand, rather than to read past it.
 */
import { TerminalError } from '@cloudlet/runtime/base';

export interface ShellCommand {
  /** Program and arguments without their quotes; no redirections. */
  readonly words: readonly string[];
}

/** Commands joined by `|`. */
export interface Pipeline {
  /** From 1, within the block. */
  readonly line: number;
  /** As it stands in the block, without comments behind it. */
  readonly source: string;
  readonly commands: readonly ShellCommand[];
  /** Files that its output goes to. */
  readonly writes: readonly string[];
}

/** @throws TerminalError (`NotUnderstood`) for what is none of the above. */
export function pipelinesOf(text: string): readonly Pipeline[] {
  return new Reader(text).read();
}

class Reader {
  readonly #text: string;
  #at = 0;
  readonly #pipelines: Pipeline[] = [];
  #commands: ShellCommand[] = [];
  #words: string[] = [];
  #writes: string[] = [];
  /** Of the pipeline's first word, and behind its last one. */
  #start: number | undefined;
  #end = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): readonly Pipeline[] {
    while (this.#at < this.#text.length) this.#step();
    this.#endPipeline();
    return this.#pipelines;
  }

  #step(): void {
    const rest = this.#text.slice(this.#at);
    const operator = /^(&&|\|\||;|\n|\|)/.exec(rest)?.[0];
    if (operator !== undefined) {
      this.#at += operator.length;
      if (operator === '|') this.#endCommand();
      else this.#endPipeline();
      return;
    }
    const skipped = /^(\\\n|[ \t]+|#[^\n]*)/.exec(rest)?.[0];
    if (skipped !== undefined) {
      this.#at += skipped.length;
      return;
    }
    this.#start ??= this.#at;
    const redirection = /^(?:\d?>&\d|(?:\d?>{1,2}|<)[ \t]*)/.exec(rest)?.[0];
    if (redirection === undefined) this.#words.push(this.#word());
    else {
      this.#at += redirection.length;
      const file = />&\d$/.test(redirection) ? undefined : this.#word();
      if (file !== undefined && redirection.includes('>')) this.#writes.push(file);
    }
    this.#end = this.#at;
  }

  /** The word that begins here, without its quotes. */
  #word(): string {
    let word = '';
    for (;;) {
      const rest = this.#text.slice(this.#at);
      const [part = '', single, double] =
        /^(?:'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\[^\n]|[^\s'"\\|&;<>()`])/.exec(rest) ?? [];
      if (part === '' || part === '$' || double?.includes('$')) this.#refuseUnlessEnded(rest, word);
      if (part === '') return word;
      word += single ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? part.replace(/^\\/, '');
      this.#at += part.length;
    }
  }

  #refuseUnlessEnded(rest: string, word: string): void {
    if (word !== '' && /^([\s|;<>]|&&|$)/.test(rest)) return;
    const line = this.#text.slice(0, this.#at).split('\n').length;
    const [shown = ''] = rest.split('\n');
    throw new TerminalError('NotUnderstood', `line ${line} of the block: '${shown.slice(0, 40)}'`);
  }

  #endCommand(): void {
    if (this.#words.length > 0) this.#commands.push({ words: this.#words });
    this.#words = [];
  }

  #endPipeline(): void {
    this.#endCommand();
    if (this.#start !== undefined && this.#commands.length > 0) {
      const source = this.#text.slice(this.#start, this.#end);
      const line = this.#text.slice(0, this.#start).split('\n').length;
      this.#pipelines.push({ line, source, commands: this.#commands, writes: this.#writes });
    }
    this.#commands = [];
    this.#writes = [];
    this.#start = undefined;
  }
}
