/**
 * Sessions at the site: a shell, a program, logs or a port, opened by the driver and carried over a stream of
 * the tunnel. Who may do what was decided by the region; the site keeps its own line of who did.
 *
 * Guarantees: a session that cannot be opened tells the user why; one without a byte for 4 h is ended, and
 * all end with the agent or the link; nothing is buffered beyond the marks of the streams. Arguments are
 * never logged beyond the program's name, since people put passwords there.
 */
import { type Duplex, pipeline, type Readable, Transform, type Writable } from 'node:stream';
import type { Driver, DriverSession, SessionExit, SessionTarget } from '@cloudlet/drivers';
import { failSession, serveSession, type SessionRequest } from '@cloudlet/tunnel/agent';
import { type Clock, describeError, type Logger, withDeadline } from '@cloudlet/runtime/base';

export interface Sessions {
  /** Serves one session until it ends; never throws. */
  serve(request: SessionRequest, stream: Duplex, signal: AbortSignal): Promise<void>;
  /** Sessions that are open. */
  readonly open: number;
}

export interface SessionsOptions {
  readonly driver: Pick<Driver, 'openSession'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each end, for the metrics. */
  readonly onEnd?: (kind: SessionRequest['kind'], outcome: 'Ended' | 'Failed') => void;
  /** @default 32: what a phone stands beside its work */
  readonly maxOpen?: number;
}

const openDeadlineMs = 15_000;
/** As the kubelet's. */
const idleMs = 4 * 3_600_000;
/** How often idleness is looked at. */
const idleLookMs = 60_000;

export function createSessions(options: SessionsOptions): Sessions {
  return new SiteSessions(options);
}

class SiteSessions implements Sessions {
  readonly #options: SessionsOptions;
  #open = 0;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get open(): number {
    return this.#open;
  }

  async serve(request: SessionRequest, stream: Duplex, signal: AbortSignal): Promise<void> {
    const { clock, onEnd, maxOpen = 32 } = this.#options;
    const { id, kind, user, instance, target } = request;
    const logger = this.#options.logger.with({
      ...{ session: id, kind, user, instance, target },
      ...(request.argv?.[0] === undefined ? {} : { program: request.argv[0].slice(0, 128) }),
    });
    if (this.#open >= maxOpen) {
      logger.warn('session refused', { open: this.#open });
      await failSession(stream, `the site has ${this.#open} sessions open; end one and try again`);
      onEnd?.(kind, 'Failed');
      return;
    }
    this.#open++;
    const began = clock.monotonic();
    try {
      const exit = await this.#carry(request, stream, signal, logger);
      logger.info('session ended', { ...exit, ms: Math.round(clock.monotonic() - began) });
      onEnd?.(kind, 'Ended');
    } catch (error) {
      logger.warn('session failed', { error });
      await failSession(stream, describeError(error));
      onEnd?.(kind, 'Failed');
    } finally {
      this.#open--;
    }
  }

  async #carry(
    request: SessionRequest,
    stream: Duplex,
    signal: AbortSignal,
    logger: Logger,
  ): Promise<SessionExit> {
    const { driver, clock } = this.#options;
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    try {
      const session = await withDeadline(
        `${request.kind} at the site`,
        openDeadlineMs,
        clock,
        () => driver.openSession(targetOf(request), both),
        both,
      );
      logger.info('session begins');
      const idle = new Idle(clock, () => session.close());
      await serveSession(
        stream,
        metered(session, () => idle.touch()),
      );
      idle.end();
      return idle.isOver ? { reason: 'idle' } : await session.exit;
    } finally {
      ended.abort(new Error('the session ended'));
    }
  }
}

function targetOf(request: SessionRequest): SessionTarget {
  const { id: _id, user: _user, ...rest } = request;
  return Object.fromEntries(
    Object.entries(rest).filter(([, value]) => value !== undefined),
  ) as unknown as SessionTarget;
}

/** Calls `onIdle` once when nothing touched it for `idleMs`. */
class Idle {
  readonly #clock: Clock;
  readonly #onIdle: () => void;
  #last: number;
  #timer = { cancel: (): void => undefined };
  isOver = false;

  constructor(clock: Clock, onIdle: () => void) {
    this.#clock = clock;
    this.#onIdle = onIdle;
    this.#last = clock.monotonic();
    this.#look();
  }

  touch(): void {
    this.#last = this.#clock.monotonic();
  }

  end(): void {
    this.#timer.cancel();
  }

  #look(): void {
    if (this.#clock.monotonic() - this.#last >= idleMs) {
      this.isOver = true;
      this.#onIdle();
    } else this.#timer = this.#clock.after(idleLookMs, () => this.#look());
  }
}

/** The same session, with `touch` called for every chunk that passes either way. */
function metered(session: DriverSession, touch: () => void): DriverSession {
  const { stdin, stdout, stderr, exit } = session;
  return {
    ...(stdin?.writable ? { stdin: meteredInput(stdin, touch) } : {}), // else it ended already
    stdout: meteredOutput(stdout, touch),
    ...(stderr ? { stderr: meteredOutput(stderr, touch) } : {}),
    exit,
    resize: (columns, rows) => session.resize(columns, rows),
    close: () => session.close(),
  };
}

function meter(touch: () => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      touch();
      done(null, chunk);
    },
  });
}

function meteredOutput(source: Readable, touch: () => void): Readable {
  return pipeline(source, meter(touch), () => undefined); // how it ended is in `exit`
}

function meteredInput(sink: Writable, touch: () => void): Writable {
  const input = meter(touch);
  pipeline(input, sink, () => undefined); // the program closed its input: its exit tells
  return input;
}
