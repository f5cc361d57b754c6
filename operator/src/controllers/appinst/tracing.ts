/**
 * The operator's part of the trace of a change: where it was placed and pinned, where it was summed up, and
 * the change as a whole. Made only where there is a collector.
 *
 * Assumptions: the leader that pins a change sees it settle; after a change of leader the root of what was
 * under way is missing, and its parts are there. Bounded: the oldest changes that never settle are let go.
 */
import type { AppInst } from '@cloudlet/crds';
import type { Clock } from '@cloudlet/runtime/base';
import { instanceIdOf } from '../../plan/render.ts';
import { conditionOf } from '../../status.ts';
import { newSpanId, traceOf } from '../../telemetry/change-trace.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';

interface OpenChange {
  readonly sequence: number;
  readonly start: number;
}

const mostOpen = 10_000;

export class ChangeTracing {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  /** Changes that were pinned and have not settled, by instance id, oldest first. */
  readonly #open = new Map<string, OpenChange>();

  constructor(telemetry: Telemetry, clock: Clock) {
    this.#telemetry = telemetry;
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  /** A reconcile that began at `began` left the object so. */
  reconciled(before: AppInst, after: AppInst, began: number): void {
    const id = instanceIdOf(after);
    const sequence = after.status?.rollout?.sequence;
    if (id === undefined || sequence === undefined) return;
    if (sequence !== before.status?.rollout?.sequence) {
      this.#end(id, after, `plan ${sequence} took its place`);
      this.#begin(id, { sequence, start: startOf(after, began) });
      this.#span(id, sequence, 'operator: place and pin', began, after);
    } else if (this.#open.get(id)?.sequence === sequence && isSettled(after)) {
      this.#span(id, sequence, 'operator: sum up', began, after);
      this.#end(id, after);
    }
  }

  #begin(id: string, change: OpenChange): void {
    this.#open.set(id, change);
    const oldest = this.#open.keys().next().value;
    if (this.#open.size > mostOpen && oldest !== undefined) this.#open.delete(oldest);
  }

  #end(id: string, appInst: AppInst, error?: string): void {
    const change = this.#open.get(id);
    if (!change) return;
    this.#open.delete(id);
    const { traceId, rootId: spanId } = traceOf(id, change.sequence);
    this.#telemetry.span({
      name: 'change of an AppInst',
      ...{ traceId, spanId, start: change.start, end: this.#clock.now(), error },
      attributes: {
        ...attributesOf(appInst, change.sequence),
        'cloudlet.ready.reason': conditionOf(appInst, 'Ready')?.reason ?? '',
      },
    });
  }

  #span(id: string, sequence: number, name: string, start: number, appInst: AppInst): void {
    const { traceId, rootId: parentId } = traceOf(id, sequence);
    this.#telemetry.span({
      name,
      ...{ traceId, parentId, spanId: newSpanId(), start, end: this.#clock.now() },
      attributes: attributesOf(appInst, sequence),
    });
  }
}

/** A new object's apply is known to the second; of a later one, the first look at it. */
function startOf({ metadata }: AppInst, began: number): number {
  const created = Date.parse(metadata.creationTimestamp);
  return metadata.generation === 1 && created < began ? created : began;
}

/** The site runs what was pinned, and it serves. */
function isSettled(appInst: AppInst): boolean {
  const { rollout, site } = appInst.status ?? {};
  return (
    site?.placement === rollout?.sequence &&
    conditionOf(appInst, 'Ready')?.status === 'True' &&
    conditionOf(appInst, 'Reconciling')?.status !== 'True'
  );
}

const attributesOf = ({ metadata, status, spec }: AppInst, sequence: number) => ({
  'k8s.namespace.name': metadata.namespace ?? '',
  'cloudlet.appinst.name': metadata.name,
  'cloudlet.app.name': spec.appRef.name,
  'cloudlet.name': status?.placement?.cloudlet ?? '',
  'cloudlet.plan.sequence': sequence,
  'cloudlet.generation': metadata.generation,
});
