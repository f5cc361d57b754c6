/**
 * A logger for lines that a stranger or a site causes, so that none of them can fill a disk.
 *
 * Guarantees: at most `lines` in each `perMs`, counted together for everything derived by `with`; the first
 * line after some were left out says how many, in `leftOut`.
 */
import type { Clock } from './clock.ts';
import type { LogFields, Logger, LogLevel } from './logger.ts';

export interface LineLimit {
  readonly lines: number;
  readonly perMs: number;
}

/** For one site, or one kind of stranger. */
export const lineLimit: LineLimit = { lines: 30, perMs: 60_000 };

export function limitedLogger(logger: Logger, clock: Clock, limit: LineLimit = lineLimit): Logger {
  let began = clock.monotonic();
  let written = 0;
  let leftOut = 0;
  const pass = (): LogFields | undefined => {
    const now = clock.monotonic();
    if (now - began >= limit.perMs) [began, written] = [now, 0];
    if (written >= limit.lines) {
      leftOut++;
      return undefined;
    }
    written++;
    const more = leftOut > 0 ? { leftOut } : {};
    leftOut = 0;
    return more;
  };
  const limited = (inner: Logger): Logger => {
    const log = (level: LogLevel, message: string, fields: LogFields = {}): void => {
      const more = pass();
      if (more) inner.log(level, message, { ...fields, ...more });
    };
    return {
      log,
      debug: (message, fields) => log('debug', message, fields),
      info: (message, fields) => log('info', message, fields),
      warn: (message, fields) => log('warn', message, fields),
      error: (message, fields) => log('error', message, fields),
      with: (fields) => limited(inner.with(fields)),
    };
  };
  return limited(logger);
}
