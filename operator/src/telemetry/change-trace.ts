/**
 * The trace of one change of an AppInst, from the operator's first look to Ready.
 *
 * Guarantees: trace and root follow from the instance and the sequence of its plan alone, so that operator
 * and every hub agree on them without a word and nothing is written into the API for it; sites learn their
 * parent as a W3C traceparent with the plan, and what they answer is put under the trace that the region
 * computes itself, so that no site writes into another's.
 */
import { createHash, randomBytes } from 'node:crypto';

export interface TraceContext {
  readonly traceId: string;
  /** Of the root span. */
  readonly rootId: string;
}

export function traceOf(instance: string, sequence: number): TraceContext {
  const hash = createHash('sha256').update(`${instance} ${sequence}`).digest('hex');
  return { traceId: hash.slice(0, 32), rootId: hash.slice(32, 48) };
}

export const newSpanId = (): string => randomBytes(8).toString('hex');

/** https://www.w3.org/TR/trace-context/: version, trace, parent, sampled. */
export const traceparentOf = ({ traceId }: TraceContext, parentId: string): string =>
  `00-${traceId}-${parentId}-01`;
