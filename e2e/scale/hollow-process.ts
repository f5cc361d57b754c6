/** A process of hollow sites, as the bed sees it: its commands as calls, its events as they come. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UnreachableError } from '@cloudlet/runtime/base';
import type { Message, WorkerCommands, WorkerEvent } from './hollow-messages.ts';

export interface HollowProcess {
  readonly pid: number;
  call<K extends keyof WorkerCommands>(
    command: K,
    ...args: Parameters<WorkerCommands[K]>
  ): Promise<Awaited<ReturnType<WorkerCommands[K]>>>;
  /** Ends it as a machine that loses power ends. */
  kill(): Promise<void>;
}

const program = fileURLToPath(new URL('./hollow-worker.ts', import.meta.url));

export function startHollowProcess(
  logFile: string,
  onEvents: (events: readonly WorkerEvent[]) => void,
): HollowProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  const child: ChildProcess = fork(program, [], {
    execPath: process.execPath,
    execArgv: [],
    stdio: ['ignore', log, log, 'ipc'],
    serialization: 'advanced',
  });
  closeSync(log);
  const answers = new Map<number, (message: Message) => void>();
  let calls = 0;
  let gone: string | undefined;
  child.on('message', (message: Message) => {
    if ('events' in message) onEvents(message.events);
    else answers.get(message.n)?.(message);
  });
  child.once('exit', (code, signal) => {
    gone = `the process of hollow sites ended with ${code ?? signal}; see ${logFile}`;
    for (const [n, answer] of answers) answer({ n, error: gone });
  });
  return {
    pid: child.pid ?? -1,
    call: (command, ...args) =>
      new Promise((resolve, reject) => {
        const n = ++calls;
        if (gone !== undefined) {
          reject(new UnreachableError(gone));
          return;
        }
        answers.set(n, (message) => {
          answers.delete(n);
          if ('error' in message && message.error !== undefined)
            reject(new UnreachableError(`${command}: ${message.error}`));
          else resolve(('value' in message ? message.value : undefined) as never);
        });
        child.send({ n, command, args });
      }),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
