/**
 * Lanes: one for each instance, in which its driver calls happen one after another.
 *
 * Guarantees: never two calls of one instance at once, even when the driver ignores its signal; never more
 * calls at once than the driver allows, orders to remove first; an order to remove aborts an `ensure` under
 * way; a checkpoint is on disk before the call that builds on it; failures back off (1 s doubling to 5 min,
 * a fifth of it random), permanent ones wait for other work. While paused nothing is begun.
 * Refuses to decide what is wanted: see decide.ts.
 */
import type { Plan, Removal } from '@cloudlet/crds';
import type { Checkpoint, Driver, Progress, StepResult } from '@cloudlet/drivers';
import {
  backoffMs,
  type Clock,
  DeadlineError,
  describeError,
  type Logger,
  policyOf,
  type Random,
  TerminalError,
  type Timer,
} from '@cloudlet/runtime/base';
import { maxCheckpointBytes, type Notes } from '../store/index.ts';

export type Work =
  | { readonly kind: 'Ensure'; readonly plan: Plan }
  | { readonly kind: 'Remove'; readonly removal: Removal };

export type LaneState =
  /** Nothing was asked for yet. */
  | { readonly kind: 'Idle' }
  | { readonly kind: 'Working'; readonly progress?: Progress; readonly warnings: readonly string[] }
  | { readonly kind: 'Done'; readonly warnings: readonly string[]; readonly at: number }
  | {
      readonly kind: 'Failed';
      readonly reason: string;
      readonly message: string;
      readonly permanent: boolean;
      /** Failures in a row. */
      readonly count: number;
    };

export interface LanesOptions {
  readonly driver: Driver;
  readonly checkpoints: Notes<Checkpoint>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random;
  /** The state of an instance's lane changed. */
  readonly onChange: (id: string) => void;
  /** A call ended, for the metrics. */
  readonly onCall?: (
    verb: Work['kind'],
    outcome: 'done' | 'working' | 'failed',
    ms: number,
    id: string,
  ) => void;
}

/** A call that takes longer is aborted: twice what the contract of drivers allows. */
const callDeadlineMs = 60_000;

interface Lane {
  readonly id: string;
  work: Work | undefined;
  state: LaneState;
  failures: number;
  /** The call under way. */
  call: AbortController | undefined;
  timer: Timer | undefined;
  isQueued: boolean;
  /** A checkpoint that is still to be written. */
  unsaved: Checkpoint | undefined;
}

const idle: LaneState = { kind: 'Idle' };

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that are due, oldest first. */
  #due: Lane[] = [];
  #calls = new Set<Promise<void>>();
  #paused = true;
  #isOver = false;

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  stateOf(id: string): LaneState {
    return this.#lanes.get(id)?.state ?? idle;
  }

  workOf(id: string): Work | undefined {
    return this.#lanes.get(id)?.work;
  }

  /** Calls under way. */
  get running(): number {
    return this.#calls.size;
  }

  /** Begins new work, which takes the place of what the lane was at. */
  submit(id: string, work: Work): void {
    const lane = this.#lane(id);
    const isOvertaken = work.kind === 'Remove' && lane.work?.kind === 'Ensure';
    lane.work = work;
    lane.failures = 0;
    lane.state = { kind: 'Working', warnings: [] };
    if (isOvertaken) lane.call?.abort(new TerminalError('Removing', `${id} is to be removed`));
    this.#enqueue(lane);
    this.#options.onChange(id);
  }

  /** Has the work of a lane done once more, since what is there drifted from it. */
  again(id: string): void {
    const lane = this.#lanes.get(id);
    if (lane?.work) this.#enqueue(lane);
  }

  /** Ends the work of a lane; a call under way is aborted. */
  cancel(id: string): void {
    const lane = this.#lanes.get(id);
    if (!lane) return;
    lane.work = undefined;
    lane.state = idle;
    lane.timer?.cancel();
    lane.call?.abort(new TerminalError('Cancelled', `${id} is left as it is`));
    if (!lane.call) this.#lanes.delete(id);
  }

  /** Begins nothing more and aborts what is under way; its work stays and is taken up by `resume`. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    for (const lane of this.#lanes.values()) {
      lane.timer?.cancel();
      lane.call?.abort(new TerminalError('Paused', 'this member does not act now'));
    }
  }

  resume(): void {
    if (!this.#paused || this.#isOver) return;
    this.#paused = false;
    for (const lane of this.#lanes.values()) {
      const isOver =
        lane.state.kind === 'Done' || (lane.state.kind === 'Failed' && lane.state.permanent);
      if (lane.work && !isOver) this.#enqueue(lane);
    }
    this.#fill();
  }

  /** Pauses for good, whatever still arrives, and settles when no call is under way. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.pause();
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls);
  }

  #lane(id: string): Lane {
    const known = this.#lanes.get(id);
    if (known) return known;
    const lane: Lane = {
      id,
      work: undefined,
      state: idle,
      failures: 0,
      call: undefined,
      timer: undefined,
      isQueued: false,
      unsaved: undefined,
    };
    this.#lanes.set(id, lane);
    return lane;
  }

  #enqueue(lane: Lane): void {
    lane.timer?.cancel();
    lane.timer = undefined;
    if (!lane.isQueued) {
      lane.isQueued = true;
      this.#due.push(lane);
    }
    this.#fill();
  }

  /** Begins as many calls as may run. A lane with a call under way keeps its place. */
  #fill(): void {
    while (!this.#paused && this.#calls.size < this.#options.driver.parallelism) {
      const free = this.#due.filter((lane) => !lane.call);
      const lane = free.find(({ work }) => work?.kind === 'Remove') ?? free[0];
      if (!lane) return;
      this.#due = this.#due.filter((other) => other !== lane);
      lane.isQueued = false;
      if (lane.work) this.#begin(lane, lane.work);
    }
  }

  #begin(lane: Lane, work: Work): void {
    lane.call = new AbortController();
    const call = this.#step(lane, work, lane.call).finally(() => {
      this.#calls.delete(call);
      lane.call = undefined;
      if (!lane.work && this.#lanes.get(lane.id) === lane) this.#lanes.delete(lane.id);
      this.#fill();
    });
    this.#calls.add(call);
  }

  /** One call of the driver and what follows from it. Never rejects. */
  async #step(lane: Lane, work: Work, controller: AbortController): Promise<void> {
    const { clock, onCall } = this.#options;
    const began = clock.monotonic();
    const deadline = clock.after(callDeadlineMs, () =>
      controller.abort(
        new DeadlineError(`${work.kind} of ${lane.id}: not done in ${callDeadlineMs} ms`),
      ),
    );
    try {
      const result = await this.#call(lane, work, controller.signal);
      const outcome = result.kind === 'Done' ? 'done' : 'working';
      onCall?.(work.kind, outcome, clock.monotonic() - began, lane.id);
      if (lane.work === work) this.#settle(lane, work, result);
    } catch (error) {
      const isOurs =
        controller.signal.aborted && !(controller.signal.reason instanceof DeadlineError);
      if (isOurs || lane.work !== work) return; // overtaken, cancelled or paused: no failure
      onCall?.(work.kind, 'failed', clock.monotonic() - began, lane.id);
      this.#fail(lane, work, controller.signal.aborted ? controller.signal.reason : error);
    } finally {
      deadline.cancel();
    }
  }

  async #call(lane: Lane, work: Work, signal: AbortSignal): Promise<StepResult> {
    const { driver, checkpoints } = this.#options;
    if (lane.unsaved) await this.#saveCheckpoint(lane, lane.unsaved);
    const checkpoint = checkpoints.get(lane.id);
    const result =
      work.kind === 'Ensure'
        ? await driver.ensure(work.plan, checkpoint, signal)
        : await driver.remove(work.removal, checkpoint, signal);
    if (result.kind === 'Done') await checkpoints.drop(lane.id);
    else if (result.checkpoint) await this.#saveCheckpoint(lane, result.checkpoint);
    return result;
  }

  async #saveCheckpoint(lane: Lane, checkpoint: Checkpoint): Promise<void> {
    const bytes = Buffer.byteLength(JSON.stringify(checkpoint));
    if (bytes > maxCheckpointBytes)
      throw new TerminalError(
        'CheckpointTooLarge',
        `the checkpoint of ${lane.id} has ${bytes} bytes, ${maxCheckpointBytes} are allowed`,
      );
    lane.unsaved = checkpoint; // until it is on disk, the next call writes it first
    await this.#options.checkpoints.put(lane.id, checkpoint);
    lane.unsaved = undefined;
  }

  #settle(lane: Lane, work: Work, result: StepResult): void {
    const { clock, logger, onChange } = this.#options;
    const warnings = result.warnings ?? [];
    lane.failures = 0;
    if (result.kind === 'Done') {
      if (lane.state.kind !== 'Done') logger.info(`${work.kind} is done`, { instance: lane.id });
      lane.state = { kind: 'Done', warnings, at: clock.monotonic() };
    } else {
      lane.state = { kind: 'Working', progress: result.progress, warnings };
      this.#later(lane, result.againMs);
    }
    onChange(lane.id);
  }

  #fail(lane: Lane, work: Work, error: unknown): void {
    const policy = policyOf(error);
    const count = ++lane.failures;
    const message = describeError(error);
    lane.state = {
      kind: 'Failed',
      reason: policy.reason,
      message,
      permanent: policy.retry === 'never',
      count,
    };
    const random = this.#options.random ?? Math.random;
    const waitMs =
      typeof policy.retry === 'number'
        ? policy.retry
        : backoffMs(count - 1, { baseMs: 1000, maxMs: 300_000, jitter: 0.2 }, random);
    this.#options.logger.log(policy.log, `${work.kind} failed`, {
      instance: lane.id,
      reason: policy.reason,
      error: message,
      count,
      ...(policy.retry === 'never' ? {} : { againMs: Math.round(waitMs) }),
    });
    if (policy.retry !== 'never') this.#later(lane, waitMs);
    this.#options.onChange(lane.id);
  }

  #later(lane: Lane, ms: number): void {
    lane.timer?.cancel();
    if (this.#paused) return; // resume takes it up
    lane.timer = this.#options.clock.after(ms, () => this.#enqueue(lane));
  }
}
