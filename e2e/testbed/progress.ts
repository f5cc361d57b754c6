/** What the screen shows while something takes long: one line a step, with the time since the start. */
export type Progress = (message: string) => void;

export const noProgress: Progress = () => undefined;

/** Writes lines like `[  12.3 s] message` to standard error. */
export function createProgress(
  write: (line: string) => void = (line) => void process.stderr.write(line + '\n'),
  now: () => number = () => performance.now(),
): Progress {
  const start = now();
  return (message) => {
    const seconds = ((now() - start) / 1000).toFixed(1);
    write(`[${seconds.padStart(6)} s] ${message}`);
  };
}
