/** Keys of agents, as people write them down: by the fingerprint of the public one. */
import { z } from 'zod';

/** `SHA256:` and the base64 (no padding) of the hash of a public key's SubjectPublicKeyInfo. */
export const keyFingerprint = z
  .string()
  .length(50)
  .regex(/^SHA256:[A-Za-z0-9+/]{43}$/);

/** A set of keys. The API server refuses one that is there twice; zod does likewise here. */
export const keySet = (most: number) =>
  z
    .array(keyFingerprint)
    .max(most)
    .superRefine((keys, context) => {
      keys.forEach((key, index) => {
        if (keys.indexOf(key) < index)
          context.addIssue({ code: 'custom', path: [index], message: `Duplicate value: "${key}"` });
      });
    });
