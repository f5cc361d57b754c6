/**
 * The hub's part of the trace of a change: the plan that goes down, what the site did, the report that is
 * written. Made only where there is a collector.
 *
 * Guarantees: spans of a site come under the trace of the very instance and sequence that the wall let the
 * report pass for; a site's clock moves them by no more than its own hello told; their number is bounded by
 * the wire.
 */
import type { Clock } from '@cloudlet/runtime/base';
import type { InstanceReport, ReportResult, SiteLink, SiteSpan } from '@cloudlet/tunnel';
import { newSpanId, traceOf, traceparentOf } from '../telemetry/change-trace.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { PlanTracing } from './stream.ts';

/** Less than that is the way of a message, not a clock. */
const trustedSkewMs = 1_000;

export class HubTracing {
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;

  constructor(telemetry: Telemetry, clock: Clock) {
    this.#telemetry = telemetry;
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  /** For the stream to one member: a plan is about to go, and gets what the site is told to count under. */
  plansTo(link: Pick<SiteLink, 'identity' | 'hello' | 'active'>): PlanTracing {
    const { identity, hello } = link;
    return {
      now: () => this.#clock.now(),
      planSent: (plan, began) => {
        const trace = traceOf(plan.id, plan.sequence);
        const spanId = newSpanId();
        this.#telemetry.span({
          name: 'hub: render and send plan',
          ...{ traceId: trace.traceId, parentId: trace.rootId, spanId },
          ...{ start: began, end: this.#clock.now() },
          attributes: {
            ...attributesOf(identity.cloudlet, plan.object, plan.sequence),
            'cloudlet.member': hello.member,
            'cloudlet.member.active': link.active,
          },
        });
        return traceparentOf(trace, spanId);
      },
    };
  }

  /** A report with timings was brought home, or not; one without is of no change that is traced. */
  reported(
    link: Pick<SiteLink, 'identity' | 'hello'>,
    report: InstanceReport,
    { began, result, spans = [] }: Reported,
  ): void {
    if (spans.length === 0) return;
    const sequence = report.status.site.placement;
    const attributes = attributesOf(link.identity.cloudlet, report.object, sequence);
    const { traceId, rootId: parentId } = traceOf(report.id, sequence);
    const { skewMs } = link.hello;
    const shift = Math.abs(skewMs) > trustedSkewMs ? skewMs : 0;
    for (const span of spans) {
      if (span.sequence !== sequence) continue;
      this.#telemetry.span({
        name: `agent: ${span.name}`,
        service: 'cloudlet-agent',
        ...{ traceId, parentId, spanId: newSpanId() },
        ...{ start: span.start - shift, end: span.end - shift },
        attributes: { ...attributes, 'cloudlet.member': link.hello.member },
        ...(span.outcome === 'failed' ? { error: 'the call failed' } : {}),
      });
    }
    this.#telemetry.span({
      name: 'hub: write status',
      ...{ traceId, parentId, spanId: newSpanId() },
      ...{ start: began, end: this.#clock.now() },
      attributes: { ...attributes, 'cloudlet.report.result': result.result },
      ...(result.result === 'Applied' ? {} : { error: result.message }),
    });
  }
}

interface Reported {
  readonly began: number;
  readonly result: ReportResult;
  readonly spans?: readonly SiteSpan[] | undefined;
}

const attributesOf = (
  cloudlet: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  sequence: number,
) => ({
  'k8s.namespace.name': namespace,
  'cloudlet.appinst.name': name,
  'cloudlet.name': cloudlet,
  'cloudlet.plan.sequence': sequence,
});
