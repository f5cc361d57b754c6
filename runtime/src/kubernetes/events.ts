/**
 * Events (events.k8s.io/v1) about objects, for people.
 *
 * Guarantees: `record` never throws, waits or fails a caller; the same event again within ten minutes counts up
 * one series, written at most once a minute; memory and the queue are bounded, and what does not fit is dropped
 * and counted in the log. Best effort: nothing may depend on an Event.
 */
import { type Clock, type Logger, NotFoundError, contentHash } from '../base/index.ts';
import { coreTypes } from './core-types.ts';
import { formatMicroTime } from './lease.ts';
import type { KubernetesClient, KubernetesObject, ResourceClient } from './types.ts';

export interface RecordedEvent {
  /** With apiVersion and kind. */
  readonly regarding: KubernetesObject;
  /** `Warning` for what a person should mend. */
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, why. */
  readonly reason: string;
  /** CamelCase, what was done or tried. */
  readonly action: string;
  /** For people; cut at 1024 characters. */
  readonly note: string;
}

export interface EventRecorder {
  record(event: RecordedEvent): void;
  /** Resolves when everything recorded so far was sent or dropped. */
  flush(): Promise<void>;
}

export interface RecorderOptions {
  readonly client: KubernetesClient;
  /** Such as `edge.cloudlet.dev/operator`. */
  readonly controller: string;
  /** Such as the pod's name. */
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface EventObject extends KubernetesObject {
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
}

interface Series {
  readonly name: string;
  readonly namespace: string;
  count: number;
  lastSeen: number;
  lastWritten: number;
}

const seriesMs = 10 * 60_000;
const seriesWriteMs = 60_000;
const mostSeries = 1_000;
const mostPending = 200;

export function createEventRecorder(options: RecorderOptions): EventRecorder {
  return new Recorder(options);
}

class Recorder implements EventRecorder {
  readonly #options: RecorderOptions;
  readonly #events: ResourceClient<EventObject>;
  /** In order of last use. */
  readonly #series = new Map<string, Series>();
  #pending = 0;
  #dropped = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#events = options.client.resource<EventObject>(coreTypes.events);
  }

  record(event: RecordedEvent): void {
    const key = keyOfSeries(event);
    const now = this.#options.clock.now();
    const known = this.#series.get(key);
    this.#series.delete(key);
    if (known && now - known.lastSeen < seriesMs) {
      this.#series.set(key, known);
      known.count++;
      known.lastSeen = now;
      if (now - known.lastWritten < seriesWriteMs) return;
      known.lastWritten = now;
      this.#send(() => this.#countUp(event, known));
      return;
    }
    const { name, namespace = 'default' } = event.regarding.metadata;
    const id = `${now.toString(16)}${contentHash(key, 6)}`;
    const series = {
      name: `${name.slice(0, 200)}.${id}`,
      namespace,
      count: 1,
      lastSeen: now,
      lastWritten: now,
    };
    this.#series.set(key, series);
    const oldest = this.#series.keys().next().value;
    if (this.#series.size > mostSeries && oldest !== undefined) this.#series.delete(oldest);
    this.#send(() => this.#create(event, series));
  }

  flush(): Promise<void> {
    return this.#tail;
  }

  /** One call at a time: a flood of events must not compete with the work. */
  #send(call: () => Promise<unknown>): void {
    const { logger } = this.#options;
    if (this.#pending >= mostPending) {
      if (this.#dropped++ % 100 === 0) logger.warn('dropping events', { dropped: this.#dropped });
      return;
    }
    this.#pending++;
    this.#tail = this.#tail
      .then(call)
      .catch((error: unknown) => logger.debug('cannot write an event', { error }))
      .then(() => void this.#pending--);
  }

  async #countUp(event: RecordedEvent, series: Series): Promise<void> {
    const { name, namespace, count, lastSeen } = series;
    const patch = { series: { count, lastObservedTime: formatMicroTime(lastSeen) } };
    try {
      await this.#events.mergePatch(name, namespace, patch, { timeoutMs: 10_000 });
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      await this.#create(event, series); // it expired
    }
  }

  async #create(event: RecordedEvent, series: Series): Promise<void> {
    const { regarding } = event;
    const { name, namespace, uid, resourceVersion } = regarding.metadata;
    const body = {
      metadata: { name: series.name, namespace: series.namespace },
      eventTime: formatMicroTime(series.lastSeen),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      type: event.type,
      reason: event.reason.slice(0, 128),
      action: event.action.slice(0, 128),
      note: event.note.slice(0, 1_024),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name,
        namespace,
        uid,
        resourceVersion,
      },
    };
    await this.#events.create(body, { timeoutMs: 10_000 });
  }
}

function keyOfSeries({ regarding, type, reason, action, note }: RecordedEvent): string {
  const { uid, name, namespace } = regarding.metadata;
  return JSON.stringify([
    regarding.kind,
    uid ?? `${namespace}/${name}`,
    type,
    reason,
    action,
    note,
  ]);
}
