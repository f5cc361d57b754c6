/** One line of the API server's audit log (audit.k8s.io/v1), as far as we read it. */
import { z } from 'zod';

const user = z.object({ username: z.string().default('') });

export const auditEvent = z.object({
  kind: z.literal('Event'),
  auditID: z.string(),
  stage: z.string(),
  verb: z.string(),
  requestURI: z.string(),
  user,
  impersonatedUser: user.optional(),
  sourceIPs: z.array(z.string()).optional(),
  userAgent: z.string().optional(),
  objectRef: z
    .object({
      resource: z.string().default(''),
      namespace: z.string().optional(),
      name: z.string().optional(),
      apiGroup: z.string().default(''),
      subresource: z.string().optional(),
    })
    .optional(),
  responseStatus: z
    .object({ code: z.number().default(0), message: z.string().optional() })
    .optional(),
  requestObject: z.unknown().optional(),
  responseObject: z.unknown().optional(),
  requestReceivedTimestamp: z.string(),
  stageTimestamp: z.string(),
});
export type AuditEvent = z.infer<typeof auditEvent>;

/** @returns undefined for what is no audit event: a log that was rotated may begin with half a line. */
export function parseAuditLine(line: string): AuditEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return auditEvent.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
