/**
 * What an agent needs to join: where the region is, which authority it has, and a token that works once.
 *
 * Guarantees: only the hash of a token is kept by the region; hashes compare in constant time; the pin is of
 * the authority's key, so that a renewed authority certificate with the same key still fits.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { InvalidError, Secret } from '@cloudlet/runtime/base';

const address = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^:/\s[\]]{1,253}):\d{1,5}$/);

export const joinSchema = z.object({
  cloudlet: z.string().min(1).max(63),
  /** host:port of the hub. */
  hub: address,
  /** host:port of the enrolment listener. */
  enroll: address,
  token: z.string().min(16).max(256).optional(),
  /** SHA-256, hex, of the authority's SubjectPublicKeyInfo. */
  caPin: z.string().regex(/^[0-9a-f]{64}$/),
});

export interface Join {
  readonly cloudlet: string;
  readonly hub: string;
  readonly enroll: string;
  readonly token?: Secret;
  readonly caPin: string;
}

/**
 * A join as printed by `kubectl cloudlet join`.
 * @throws InvalidError naming the field, never its value.
 */
export function parseJoin(text: string): Join {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new InvalidError('the join is not JSON'); // the cause would quote the token
  }
  const result = joinSchema.safeParse(parsed);
  if (!result.success) {
    const fields = result.error.issues.map((issue) => issue.path.join('.') || 'the whole');
    throw new InvalidError(`the join is not valid: ${[...new Set(fields)].join(', ')}`);
  }
  const { token, ...rest } = result.data;
  return token === undefined ? rest : { ...rest, token: new Secret(token) };
}

/** The text that `parseJoin` reads. Holds the clear token. */
export function formatJoin(join: Join): string {
  return JSON.stringify({ ...join, ...(join.token && { token: join.token.reveal() }) });
}

/** A token of 256 bits. */
export function mintToken(): Secret {
  return new Secret(randomBytes(32).toString('base64url'));
}

/** What the region keeps of a token: SHA-256 in hex. */
export function hashToken(token: Secret | string): string {
  const clear = typeof token === 'string' ? token : token.reveal();
  return createHash('sha256').update(clear).digest('hex');
}

/** Whether a shown token is the one of a stored hash. */
export function tokenMatches(shown: Secret | string, storedHash: string): boolean {
  const a = Buffer.from(hashToken(shown));
  const b = Buffer.from(storedHash);
  return a.length === b.length && timingSafeEqual(a, b);
}
