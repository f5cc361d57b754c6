/**
 * HAProxy's sockets: the runtime API of its worker and the command line of its master.
 *
 * Guarantees: one connection a call, with a deadline and a bound on the answer; commands are built from slot
 * names, addresses and numbers only.
 */
import { connect } from 'node:net';
import { type Clock, ProtocolError, UnreachableError, withDeadline } from '@cloudlet/runtime/base';

const deadlineMs = 5_000;
const maxAnswerBytes = 4 * 1024 * 1024;

/** Sends commands in one call; their answers come as one text. */
export function command(
  socketPath: string,
  commands: readonly string[],
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const what = `HAProxy: ${commands[0] ?? ''}`;
  return withDeadline(
    what,
    deadlineMs,
    clock,
    (within) => ask(socketPath, commands, within),
    signal,
  );
}

function ask(
  socketPath: string,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const onAbort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.end(commands.join(';') + '\n'));
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (answer.length > maxAnswerBytes)
        socket.destroy(new ProtocolError('HAProxy: an answer that is too long'));
    });
    socket.on('error', (cause) =>
      reject(new UnreachableError('HAProxy does not answer', { cause })),
    );
    socket.on('close', () => {
      signal.removeEventListener('abort', onAbort);
      resolve(answer);
    });
  });
}

/** One server's line of `show stat`. */
export interface ServerState {
  readonly backend: string;
  readonly slot: string;
  /** host:port */
  readonly address: string;
  /** Such as UP, DOWN, MAINT, DRAIN, `no check`, `UP 1/3`. */
  readonly status: string;
}

/** Whether it would get a new connection. */
export const answers = ({ status }: ServerState): boolean =>
  status.startsWith('UP') || status === 'no check';

/** Parses `show stat`: comma-separated values with a header that starts with `# `. */
export function parseStat(text: string): readonly ServerState[] {
  const [header = '', ...rows] = text.trim().split('\n');
  const names = header.replace(/^# /, '').split(',');
  const column = (name: string): number => names.indexOf(name);
  const [backend, slot, status, address] = [
    column('pxname'),
    column('svname'),
    column('status'),
    column('addr'),
  ];
  return rows
    .map((row) => row.split(','))
    .filter((cells) => /^s\d+$/.test(cells[slot ?? -1] ?? ''))
    .map((cells) => ({
      backend: cells[backend ?? -1] ?? '',
      slot: cells[slot ?? -1] ?? '',
      status: cells[status ?? -1] ?? '',
      address: cells[address ?? -1] ?? '',
    }));
}
