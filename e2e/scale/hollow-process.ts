/** A process of hollow sites, as the bed sees it: its commands as calls, its events as they come. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UnreachableError } from '@cloudlet/runtime/base';
import type { Message, WorkerCommands, WorkerEvent } from './hollow-messages.ts';

export interface HollowProcess {
  /** Of its last start. */
  readonly pid: number;
  call<K extends keyof WorkerCommands>(
    command: K,
    ...args: Parameters<WorkerCommands[K]>
  ): Promise<Awaited<ReturnType<WorkerCommands[K]>>>;
  /** Ends it as a machine that loses power ends. */
  kill(): Promise<void>;
  /** Any other signal, such as SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  /** Starts it again after a kill; it knows no site yet. */
  restart(): void;
}

export interface HollowProcessOptions {
  readonly logFile: string;
  /** Added to this process's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly onEvents: (events: readonly WorkerEvent[]) => void;
}

const program = fileURLToPath(new URL('./hollow-worker.ts', import.meta.url));

export function startHollowProcess(options: HollowProcessOptions): HollowProcess {
  mkdirSync(dirname(options.logFile), { recursive: true });
  let life = new Life(options);
  return {
    get pid() {
      return life.child.pid ?? -1;
    },
    call: (command, ...args) => life.call(command, args),
    async kill() {
      const { child } = life;
      if (!life.runs) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
    signal: (signal) => void life.child.kill(signal),
    restart() {
      if (!life.runs) life = new Life(options);
    },
  };
}

/** The process from one start to its end. */
class Life {
  readonly child: ChildProcess;
  readonly #answers = new Map<number, (message: Message) => void>();
  #calls = 0;
  #gone: string | undefined;

  constructor({ logFile, env, onEvents }: HollowProcessOptions) {
    const log = openSync(logFile, 'a');
    this.child = fork(program, [], {
      execPath: process.execPath,
      execArgv: [],
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log, 'ipc'],
      serialization: 'advanced',
    });
    closeSync(log);
    this.child.on('message', (message: Message) => {
      if ('events' in message) onEvents(message.events);
      else this.#answers.get(message.n)?.(message);
    });
    this.child.on('error', () => undefined); // a command to a process that ends meanwhile; its exit tells
    this.child.once('exit', (code, signal) => {
      const gone = `the process of hollow sites ended with ${code ?? signal}; see ${logFile}`;
      this.#gone = gone;
      for (const [n, answer] of this.#answers) answer({ n, error: gone });
    });
  }

  get runs(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  call<K extends keyof WorkerCommands>(
    command: K,
    args: Parameters<WorkerCommands[K]>,
  ): Promise<Awaited<ReturnType<WorkerCommands[K]>>> {
    return new Promise((resolve, reject) => {
      const n = ++this.#calls;
      if (this.#gone !== undefined) {
        reject(new UnreachableError(this.#gone));
        return;
      }
      this.#answers.set(n, (message) => {
        this.#answers.delete(n);
        if ('error' in message && message.error !== undefined)
          reject(new UnreachableError(`${command}: ${message.error}`));
        else resolve(('value' in message ? message.value : undefined) as never);
      });
      this.child.send({ n, command, args });
    });
  }
}
