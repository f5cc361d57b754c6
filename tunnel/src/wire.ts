/**
 * The wire between a site's agent and the region's hub: one HTTP/2 connection that the agent dials.
 *
 * Streams, all opened by the agent:
 *   POST /v1/control        both ways for the life of the connection; JSON lines of the messages below
 *   POST /v1/sessions/{id}  one for each session the hub asked for; frames of `session-frame.ts`
 *   POST /v1/renew          a CSR with the same key against a fresh certificate
 * and on the enrolment listener: POST /v1/enroll.
 *
 * Guarantees: every message is parsed by its schema; a line longer than `maxLineBytes` ends the connection
 * with a ProtocolError; unknown fields and unknown message types are ignored, so that a newer peer may speak.
 * A plan with values that this build does not know is answered as unsupported, a report with such is dropped
 * and told so: neither ends the connection.
 */
import { z } from 'zod';
import {
  appInstSite,
  appInstStatus,
  condition,
  instanceId,
  plan,
  removal,
  siteStatus,
} from '@cloudlet/crds';

/**
 * Range of wire versions that this build speaks. Agents and hubs are upgraded one after the other, in either
 * order: the range holds what the minor version before spoke, and the one before gives way at the earliest
 * in the minor version after that.
 */
export const wireVersions = { min: 1, max: 1 } as const;

/** Plan features that this build's agents know; plans name what they need in `requires`. */
export const planFeatures = ['ports', 'compose', 'files', 'volumes', 'adopt', 'overlay'] as const;

export const limits = {
  /** Longest JSON line in bytes; a plan with its files fits. */
  maxLineBytes: 4 * 1024 * 1024,
  /** Largest report in bytes. */
  maxReportBytes: 256 * 1024,
  /** Instances of one site. */
  maxInstances: 2000,
  /** Sessions of one site at once. */
  maxSessions: 64,
  /** Reports of one site that are on their way to the API server at once; one at most for each object. */
  maxReportsInFlight: 16,
  /** Flow-control window of a session, so what a stalled user holds at most, in bytes. */
  sessionWindowBytes: 1024 * 1024,
} as const;

export const timing = {
  pingMs: 15_000,
  /** The agent redials after this many pings without an answer. */
  missedPings: 2,
  /** The hub counts a session dead after so long without a byte. */
  deadMs: 40_000,
  /** Lease: renewed so often, lasting so long. */
  leaseRenewMs: 30_000,
  leaseDurationMs: 90_000,
} as const;

/** What the agent has of one instance; `hash` is of the plan as sent. */
export const have = z.object({
  id: instanceId,
  sequence: z.int().min(0),
  hash: z.string().max(64),
  removed: z.boolean().optional(),
});
export type Have = z.infer<typeof have>;

/** The agent's part of an AppInst's status. */
export const instanceReport = z.object({
  id: instanceId,
  object: z.object({ namespace: z.string().max(63), name: z.string().max(63) }),
  status: z.object({
    site: appInstSite,
    conditions: z.array(condition).max(4),
    instances: appInstStatus.shape.instances,
    backends: appInstStatus.shape.backends,
    warnings: appInstStatus.shape.warnings,
    progress: appInstStatus.shape.progress,
  }),
});
export type InstanceReport = z.infer<typeof instanceReport>;

/** The agent's part of its Cloudlet's status. */
export const siteReport = z.object({ site: siteStatus, conditions: z.array(condition).max(8) });
export type SiteReport = z.infer<typeof siteReport>;

export const sessionKinds = ['exec', 'logs', 'shell', 'portforward'] as const;

/** A request for a session at the site. */
export const sessionRequest = z.object({
  id: z.string().min(1).max(64),
  kind: z.enum(sessionKinds),
  /** The instance; absent for `shell`, which is onto the site's manager. */
  instance: instanceId.optional(),
  /** A task or service of the instance, as named in its status. Default: the first running one. */
  target: z.string().max(253).optional(),
  argv: z.array(z.string().max(65_536)).max(256).optional(),
  tty: z.boolean().optional(),
  stdin: z.boolean().optional(),
  /** logs */
  follow: z.boolean().optional(),
  tailLines: z.int().min(0).max(1_000_000).optional(),
  sinceSeconds: z.int().min(0).optional(),
  timestamps: z.boolean().optional(),
  /** portforward */
  port: z.int().min(1).max(65535).optional(),
  /** Who asked, for the site's own log. */
  user: z.string().max(253),
});
export type SessionRequest = z.infer<typeof sessionRequest>;

/** https://www.w3.org/TR/trace-context/ */
export const traceparent = z.string().regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);

/** What the site spent its time on since its last report of the instance, by its own clock. */
export const siteSpan = z.object({
  name: z.enum(['store', 'queue', 'apply', 'start']),
  /** Milliseconds since the epoch. */
  start: z.number().min(0),
  end: z.number().min(0),
  /** Sequence of the plan. */
  sequence: z.int().min(0),
  outcome: z.string().max(63).optional(),
});
export type SiteSpan = z.infer<typeof siteSpan>;
export const maxSiteSpans = 32;

/** A timing that is no good is left out; the report counts. */
const siteSpans = z.array(siteSpan).max(maxSiteSpans).optional().catch(undefined);

export const agentMessage = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('hello'),
    versions: z.object({ min: z.int(), max: z.int() }),
    /** New with each start of the agent process. */
    boot: z.string().min(1).max(64),
    /** Host name of the member. */
    member: z.string().max(63),
    agentVersion: z.string().max(64),
    /** Milliseconds since the epoch, by the agent's clock. */
    time: z.number(),
    /** Whether this member acts for the site, or keeps warm. */
    active: z.boolean(),
    features: z.array(z.string().max(63)).max(32),
    have: z.array(have).max(limits.maxInstances * 2),
  }),
  z.object({ t: z.literal('role'), active: z.boolean() }),
  z.object({
    t: z.literal('report'),
    n: z.int().min(0),
    report: instanceReport,
    /** Only where the plan came with a trace. */
    spans: siteSpans,
  }),
  z.object({ t: z.literal('site'), n: z.int().min(0), report: siteReport }),
  /** What `leave` asked for is done. */
  z.object({ t: z.literal('left') }),
]);
export type AgentMessage = z.infer<typeof agentMessage>;

/** What is read of a plan whose rest only a newer agent knows: enough to say so of the right object. */
export const planHead = plan.pick({ id: true, sequence: true, requires: true, object: true });
export type PlanHead = z.infer<typeof planHead>;

export const hubMessage = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('welcome'),
    version: z.int(),
    /** Name of the hub replica. */
    hub: z.string().max(253),
    /** Milliseconds since the epoch, by the hub's clock. */
    time: z.number(),
    cloudlet: z.string().max(63),
    cloudletUid: z.string().max(64),
  }),
  z.object({
    t: z.literal('plan'),
    hash: z.string().max(64),
    plan,
    /** Asks for timings of what the site does for this plan; no part of the plan or its hash. */
    trace: traceparent.optional().catch(undefined),
  }),
  z.object({ t: z.literal('remove'), removal }),
  /** The site's removal is on record: it may forget the instance. */
  z.object({ t: z.literal('forget'), id: instanceId }),
  /** All differences to the agent's `have` were sent; what the region does not know is listed. */
  z.object({ t: z.literal('synced'), orphans: z.array(instanceId).max(limits.maxInstances) }),
  z.object({
    t: z.literal('ack'),
    n: z.int().min(0),
    result: z.enum(['Applied', 'Dropped', 'Retry']),
    message: z.string().max(1024).optional(),
  }),
  z.object({ t: z.literal('open'), session: sessionRequest }),
  /** Act for the site though another manager leads, whose agent is gone; or no longer. */
  z.object({ t: z.literal('deputize'), acts: z.boolean() }),
  /** The Cloudlet is deleted and nothing is placed any more: remove what the site has for itself. */
  z.object({ t: z.literal('leave') }),
  /** Redial, at a random moment of `redialWithinMs` (absent: of half of it all); the connection will end. */
  z.object({
    t: z.literal('drain'),
    withinMs: z.int().min(0),
    redialWithinMs: z.int().min(0).optional(),
  }),
  z.object({ t: z.literal('refuse'), reason: z.string().max(63), message: z.string().max(1024) }),
]);
export type HubMessage = z.infer<typeof hubMessage>;

export const enrollRequest = z.object({
  /** Name of the Cloudlet. */
  cloudlet: z.string().min(1).max(63),
  /** PKCS#10, PEM. Its key is the agent's identity. */
  csr: z.string().min(1).max(16_384),
  member: z.string().max(63),
  token: z.string().max(256).optional(),
});
export type EnrollRequest = z.infer<typeof enrollRequest>;

export const enrollReply = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('Issued'),
    certificate: z.string().max(65_536),
    ca: z.string().max(65_536),
  }),
  z.object({
    state: z.literal('Waiting'),
    fingerprint: z.string().max(63),
    message: z.string().max(1024),
    retryAfterMs: z.int().min(0),
  }),
  z.object({
    state: z.literal('Refused'),
    reason: z.string().max(63),
    message: z.string().max(1024),
  }),
]);
export type EnrollReply = z.infer<typeof enrollReply>;
