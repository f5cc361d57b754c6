/**
 * Canonical JSON and its hash: the same value gives the same bytes whatever the order of its keys.
 * Keys are sorted by code unit; `undefined` members are left out, as `JSON.stringify` does.
 */
import { createHash, createHmac } from 'node:crypto';

export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}

/** SHA-256 of the canonical JSON, in hex, cut to `length` characters (64 at most). */
export function contentHash(value: unknown, length = 64): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, length);
}

/** The keyed kind, for what is derived from secrets: without the key nobody can test a guess. */
export function keyedHash(key: string, value: unknown, length = 64): string {
  return createHmac('sha256', key).update(canonicalJson(value)).digest('hex').slice(0, length);
}
