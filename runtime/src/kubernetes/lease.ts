/** coordination.k8s.io/v1 Lease and its time format. Times have microseconds on the wire; ours have milliseconds. */
import type { KubernetesObject } from './types.ts';

export interface LeaseSpec {
  /** Empty or absent: nobody holds it. */
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export interface Lease extends KubernetesObject {
  readonly spec?: LeaseSpec;
}

/** Such as `2026-01-31T12:00:00.123000Z`: the API server refuses fewer digits. */
export function formatMicroTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

/** Milliseconds since the epoch; undefined for what is no time. */
export function parseMicroTime(text: string | undefined): number | undefined {
  const ms = text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
