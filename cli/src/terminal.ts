/** Standard streams and the terminal behind them, as commands use them; a test brings its own. */
import type { Readable, Writable } from 'node:stream';

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Whether standard input is a terminal. */
  readonly isInteractive: boolean;
  /** Keys come one by one, unechoed; `false` brings the terminal back. */
  setRaw(raw: boolean): void;
  size(): { readonly columns: number; readonly rows: number } | undefined;
  /** Calls `listener` with each change of the size, until the returned function is called. */
  onResize(listener: () => void): () => void;
}

export const processTerminal: Terminal = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  isInteractive: process.stdin.isTTY,
  setRaw: (raw) => {
    if (process.stdin.isTTY) process.stdin.setRawMode(raw);
  },
  size: () =>
    process.stdout.isTTY
      ? { columns: process.stdout.columns, rows: process.stdout.rows }
      : undefined,
  onResize(listener) {
    process.stdout.on('resize', listener);
    return () => void process.stdout.off('resize', listener);
  },
};

/** A table with two spaces between its columns, as kubectl prints. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map(
      (row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('   ')
          .trimEnd() + '\n',
    )
    .join('');
}
