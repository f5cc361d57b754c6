/** The agent as a child process of a test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../main.ts', import.meta.url));

export interface AgentChild {
  readonly process: ChildProcess;
  /** Lines of its log. */
  readonly log: readonly Record<string, unknown>[];
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface AgentChildOptions {
  readonly args: readonly string[];
  /** Written to its standard input. */
  readonly input?: string;
  /** @default the running node */
  readonly node?: readonly string[];
  /** @default the sources */
  readonly entry?: string;
}

export function startAgent(options: AgentChildOptions): AgentChild {
  const [program = process.execPath, ...flags] = options.node ?? [process.execPath];
  const child = spawn(program, [...flags, options.entry ?? source, ...options.args], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const log: Record<string, unknown>[] = [];
  let rest = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) log.push(parsed(line));
  });
  child.stdin.on('error', () => undefined); // it ended before it read
  child.stdin.end(options.input ?? '');
  const closed = once(child, 'close') as Promise<[number | null]>;
  return {
    process: child,
    log,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null) child.kill(signal);
      const [code] = await closed;
      return code;
    },
  };
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { text: line };
  }
}
