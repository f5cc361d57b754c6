/** What a doctor says: one thing that is wrong, where, and what to do about it. */
export const severities = ['Problem', 'Warning', 'Unknown'] as const;
/** Problem: something does not work. Warning: it will not, or not as well. Unknown: it could not be looked at. */
export type Severity = (typeof severities)[number];

export interface Finding {
  readonly severity: Severity;
  /** A CamelCase word; that of the condition where there is one. */
  readonly reason: string;
  /** Such as `Cloudlet north` or `AppInst shop/web`. */
  readonly object: string;
  /** One sentence. */
  readonly message: string;
  /** What to do, with the command where there is one. */
  readonly remedy: string;
  /** Since when, where it is known. */
  readonly since?: string;
}

/** What one check came to; `Unknown` findings alone mean that it had nothing to look at. */
export interface CheckResult {
  readonly check: string;
  readonly findings: readonly Finding[];
}

export const problem = (
  reason: string,
  object: string,
  message: string,
  remedy: string,
  since?: string,
): Finding => made('Problem', { reason, object, message, remedy, since });

export const warning = (
  reason: string,
  object: string,
  message: string,
  remedy: string,
  since?: string,
): Finding => made('Warning', { reason, object, message, remedy, since });

export const unknown = (object: string, message: string, remedy: string): Finding =>
  made('Unknown', { reason: 'NotAllowed', object, message, remedy });

function made(
  severity: Severity,
  { since, ...rest }: Omit<Finding, 'severity' | 'since'> & { readonly since?: string | undefined },
): Finding {
  return { severity, ...rest, ...(since === undefined ? {} : { since }) };
}

export const minuteMs = 60_000;
export const dayMs = 86_400_000;

/** Whether a time, in the API's form, lies further back than that. */
export const isOlder = (time: string | undefined, ageMs: number, now: number): boolean =>
  time !== undefined && now - Date.parse(time) > ageMs;
