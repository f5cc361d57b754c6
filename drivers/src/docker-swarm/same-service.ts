/** Whether two specifications of a service are the same once what the engine fills in is left out. Pure. */
import { canonicalJson } from '@cloudlet/runtime/base';
import type { ServiceSpec } from '../compose/engine.ts';

export function sameService(wanted: ServiceSpec, observed: ServiceSpec): boolean {
  return canonicalJson(plain(wanted)) === canonicalJson(plain(observed));
}

/** What the engine adds by itself, by the name of its field. */
const defaults: Record<string, readonly unknown[]> = {
  Isolation: ['default'],
  Runtime: ['container'],
  Mode: ['vip'],
  FailureAction: ['pause'],
  Order: ['stop-first'],
  PublishMode: ['ingress'],
  Protocol: ['tcp'],
};

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(plain);
  if (value === null || typeof value !== 'object') return value || undefined;
  const kept = Object.entries(value)
    .filter(([key, inner]) => !defaults[key]?.includes(inner))
    .map(([key, inner]) => [key, plain(inner)] as const)
    .filter(([, inner]) => inner !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
