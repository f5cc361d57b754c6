/**
 * How an agent gets its certificate: with a token, as a key that waits to be accepted, or with the expired
 * certificate of the same key.
 *
 * Guarantees: the key never leaves the store; a repeat shows the same key; a reply is kept only if its
 * certificate is for our key and was signed by the authority that came with it, over a connection to a hub
 * that was verified.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { connect, type ClientHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import {
  backoffMs,
  ForbiddenError,
  ProtocolError,
  TooManyRequestsError,
  UnreachableError,
  withDeadline,
  describeError,
  type Logger,
  type Random,
  type Secret,
} from '@cloudlet/runtime/base';
import { fingerprintOf, parseCertificates, verifyAgent } from '../identity/certificate.ts';
import type { IdentityStore, StoredIdentity } from '../identity/store.ts';
import { enrollReply, type EnrollReply, type EnrollRequest } from '../wire.ts';
import { dial, type Trust, type Way } from './dial.ts';
import { parseAddress, type ProxyOptions } from './proxy.ts';
import { type AgentClock, atAnyOf, timesOf } from './times.ts';

export interface EnrollOptions {
  /** host:port of the enrolment listener. */
  readonly enroll: string;
  readonly cloudlet: string;
  /** Host name of this machine. */
  readonly member: string;
  readonly token?: Secret | undefined;
  /** Pin of the authority, for the first contact. Afterwards the stored authority counts. */
  readonly caPin?: string | undefined;
  readonly store: IdentityStore;
  readonly clock: AgentClock;
  readonly logger: Logger;
  readonly random?: Random | undefined;
  readonly proxy?: ProxyOptions | undefined;
  /** Told of each reply that is no certificate. */
  readonly onReply?: ((reply: EnrollReply) => void) | undefined;
}

const enrollDeadlineMs = 30_000;
const maxReplyBytes = 256 * 1024;
const retryPace = { baseMs: 1_000, maxMs: 60_000, jitter: 0.5 } as const;

/** Asks until a certificate is issued and stored. @throws the signal's reason when it aborts. */
export async function enroll(options: EnrollOptions, signal: AbortSignal): Promise<StoredIdentity> {
  const { clock, logger, random = Math.random } = options;
  let way: Way = 'direct';
  let told = '';
  for (let attempt = 0; ; attempt++) {
    let delayMs = backoffMs(attempt, retryPace, random);
    let state: string;
    try {
      const reply = await enrollOnce(options, way, signal);
      if (reply.state === 'Issued') return await options.store.load();
      options.onReply?.(reply);
      if (reply.state === 'Waiting') delayMs = Math.max(delayMs, reply.retryAfterMs);
      else delayMs = Math.max(delayMs, retryPace.maxMs / 2);
      state = `${reply.state}: ${reply.message}`;
    } catch (error) {
      signal.throwIfAborted();
      state = describeError(error);
      if (error instanceof TooManyRequestsError) {
        // Many come at once: not all again at the same moment, nor each by another way.
        delayMs = Math.max(delayMs, error.retryAfterMs * (1 + random()));
      } else way = way === 'direct' ? 'websocket' : 'direct';
    }
    // The same state once, not each minute of a week that a key waits.
    logger.log(state === told ? 'debug' : 'info', 'not enrolled yet', { state });
    told = state;
    await clock.sleep(delayMs, signal);
  }
}

/**
 * Asks once, and stores what is issued.
 * @throws UnreachableError, ForbiddenError (not our region), ProtocolError, TooManyRequestsError.
 */
export async function enrollOnce(
  options: EnrollOptions,
  way: Way,
  signal: AbortSignal,
): Promise<EnrollReply> {
  const stored = await options.store.load();
  return withDeadline(
    'enrolment',
    enrollDeadlineMs,
    options.clock,
    async (inner) => {
      const socket = await dialEnrollment(options, stored, way, inner);
      const session = connect('https://hub', { createConnection: () => socket });
      session.on('error', () => session.destroy());
      try {
        return await requestCertificate(session, '/v1/enroll', stored, options, inner);
      } finally {
        session.destroy();
        socket.destroy();
      }
    },
    signal,
  );
}

/** Sends the request over a session to a verified hub, and stores what is issued. */
export async function requestCertificate(
  session: ClientHttp2Session,
  path: '/v1/enroll' | '/v1/renew',
  stored: StoredIdentity,
  options: Pick<EnrollOptions, 'cloudlet' | 'member' | 'token' | 'store' | 'clock'>,
  signal: AbortSignal,
): Promise<EnrollReply> {
  // Loaded for the few requests of its life: it keeps 10 MiB (see identity/key.ts).
  const { createAgentCsr } = await import('../identity/csr.ts');
  const request: EnrollRequest = {
    cloudlet: options.cloudlet,
    csr: await createAgentCsr(stored.keyPem, options.cloudlet),
    member: options.member,
    ...(options.token && { token: options.token.reveal() }),
  };
  const parsed = enrollReply.safeParse(await exchange(session, path, request, signal));
  if (!parsed.success)
    throw new ProtocolError('the hub answered the enrolment with something else');
  const reply = parsed.data;
  if (reply.state === 'Issued') {
    checkIssued(reply, stored.keyPem, options);
    await options.store.save({ certificatePem: reply.certificate, caPem: reply.ca });
  }
  return reply;
}

function checkIssued(
  reply: Extract<EnrollReply, { state: 'Issued' }>,
  keyPem: Secret,
  { cloudlet, clock }: Pick<EnrollOptions, 'cloudlet' | 'clock'>,
): void {
  const [certificate] = parseCertificates(reply.certificate);
  if (!certificate) throw new ProtocolError('the hub issued no certificate');
  const authorities = parseCertificates(reply.ca);
  const identity = atAnyOf(timesOf(clock), (now) => verifyAgent(certificate, { authorities, now }));
  const ours = fingerprintOf(createPublicKey(createPrivateKey(keyPem.reveal())));
  if (identity.fingerprint !== ours || identity.cloudlet !== cloudlet)
    throw new ForbiddenError('the hub issued a certificate for another key or Cloudlet');
}

/** By the stored authority, or, when the region has another by now, by the pin of the join. */
async function dialEnrollment(
  options: EnrollOptions,
  stored: StoredIdentity,
  way: Way,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { caPin } = options;
  const dialTrusting = (trust: Trust): Promise<TLSSocket> =>
    dial(
      {
        address: parseAddress(options.enroll),
        way,
        proxy: options.proxy,
        trust,
        times: timesOf(options.clock),
        ...(stored.certificatePem && {
          keyPem: stored.keyPem,
          certificatePem: stored.certificatePem,
        }),
      },
      signal,
    );
  if (stored.caPem !== undefined) {
    try {
      return await dialTrusting({ caPem: stored.caPem });
    } catch (error) {
      if (!(error instanceof ForbiddenError) || caPin === undefined) throw error;
    }
  }
  if (caPin === undefined)
    throw new ForbiddenError('neither an authority nor its pin is known: the agent needs a join');
  return dialTrusting({ caPin });
}

function exchange(
  session: ClientHttp2Session,
  path: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(new UnreachableError(`${path}: no answer`, { cause }));
    session.once('close', fail);
    const stream = session.request({ ':method': 'POST', ':path': path }, { signal });
    let status = 0;
    let retryAfterMs = 0;
    let text = '';
    stream.on('error', fail);
    stream.once('response', (headers) => {
      status = headers[':status'] ?? 0;
      retryAfterMs = retryAfterOf(headers['retry-after']);
    });
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > maxReplyBytes) stream.destroy(new ProtocolError(`${path}: long answer`));
    });
    stream.once('close', () => session.off('close', fail));
    stream.once('end', () => {
      if (status === 429)
        reject(new TooManyRequestsError(`${path}: too many requests`, retryAfterMs));
      else if (status !== 200) reject(new UnreachableError(`${path}: answered ${status}`));
      else resolve(parseReply(text));
    });
    stream.end(JSON.stringify(body));
  });
}

/** In milliseconds; bounded, so that nothing a hub says keeps a site out for long. */
const retryAfterOf = (seconds: string | undefined): number =>
  Math.min(Math.max(Number(seconds ?? 30) || 30, 1), 120) * 1_000;

function parseReply(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the schema refuses it
  }
}

/** When to renew: with a third of its life left, at most a tenth of that earlier. */
export function renewalTime(certificatePem: string, random: Random = Math.random): number {
  const certificate = new X509Certificate(certificatePem);
  const notBefore = Date.parse(certificate.validFrom);
  const notAfter = Date.parse(certificate.validTo);
  const third = (notAfter - notBefore) / 3;
  return notAfter - third * (1 + 0.1 * random());
}

/** Whether there is a certificate whose time is not over. */
export function isUsable(stored: StoredIdentity, now: number): boolean {
  if (stored.certificatePem === undefined || stored.caPem === undefined) return false;
  return now < Date.parse(new X509Certificate(stored.certificatePem).validTo);
}
