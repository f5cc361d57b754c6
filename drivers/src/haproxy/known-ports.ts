/**
 * Which ports of their nodes tasks have, also when the swarm has forgotten it.
 *
 * A swarm that elected another leader gets the states of tasks anew from their nodes, without the ports that
 * the engines picked for them; they come back with a task's next change only. So they are remembered for as
 * long as the task is listed, and kept on disk, for the agent that leads next may have started since.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Task } from '../docker-swarm/engine-types.ts';

type Ports = NonNullable<NonNullable<Task['Status']['PortStatus']>['Ports']>;

export class KnownPorts {
  readonly #file: string;
  #known: ReadonlyMap<string, Ports> | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /** The tasks, those that run with their ports. */
  async complete(tasks: readonly Task[]): Promise<readonly Task[]> {
    const before = (this.#known ??= await this.#read());
    const known = new Map(
      tasks.flatMap((task) => {
        const ports = portsOf(task) ?? before.get(task.ID);
        return ports && task.Status.State === 'running' ? [[task.ID, ports]] : [];
      }),
    );
    this.#known = known;
    if (textOf(known) !== textOf(before)) await this.#write(textOf(known));
    return tasks.map((task) => {
      const Ports = known.get(task.ID);
      if (!Ports || portsOf(task)) return task;
      return { ...task, Status: { ...task.Status, PortStatus: { Ports } } };
    });
  }

  async #read(): Promise<ReadonlyMap<string, Ports>> {
    try {
      return new Map(JSON.parse(await readFile(this.#file, 'utf8')) as [string, Ports][]);
    } catch {
      return new Map(); // not there yet, or cut off: the swarm tells most of it again
    }
  }

  async #write(text: string): Promise<void> {
    await writeFile(`${this.#file}.new`, text, { mode: 0o600 });
    await rename(`${this.#file}.new`, this.#file);
  }
}

function portsOf({ Status }: Task): Ports | undefined {
  const ports = Status.PortStatus?.Ports ?? [];
  return ports.some(({ PublishedPort }) => PublishedPort) ? ports : undefined;
}

const textOf = (known: ReadonlyMap<string, Ports>): string =>
  JSON.stringify([...known].sort(([a], [b]) => (a < b ? -1 : 1)));
