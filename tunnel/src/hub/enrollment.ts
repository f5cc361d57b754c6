/**
 * Answers requests for a certificate: from strangers with a token or a key that waits, from agents whose
 * certificate has expired (both on the enrolment listener), and renewals over a tunnel.
 *
 * Guarantees: it issues and nothing else; a certificate that was shown counts when it chains to our own
 * authority, as checked here and not by the TLS library, and then names its Cloudlet, never another; an
 * address gets few tries, a connection one, a body is bounded, and everything has a deadline.
 */
import { performServerHandshake, type ServerHttp2Stream } from 'node:http2';
import {
  describeError,
  ProtocolError,
  TooManyRequestsError,
  UnreachableError,
  withDeadline,
} from '@cloudlet/runtime/base';
import { parseCertificates, verifyAgent } from '../identity/certificate.ts';
import { enrollRequest, type EnrollReply } from '../wire.ts';
import type { EnrollPeer, SiteIdentity } from './backend.ts';
import { answerJson, answerStatus, readJsonBody } from './body.ts';
import type { Peer } from './door.ts';
import type { TunnelContext } from './options.ts';

/** Serves one enrolment connection. `caPem` is the authority at present. */
export function serveEnrollment(peer: Peer, caPem: string, context: TunnelContext): void {
  const session = performServerHandshake(peer.socket, {
    settings: { maxConcurrentStreams: 1, initialWindowSize: 65_535, maxHeaderListSize: 16_384 },
    maxHeaderListPairs: 32,
    maxSessionMemory: 1,
  });
  const certificate = identityOf(peer, caPem, context);
  const end = context.clock.after(context.limits.enrollMs, () => session.destroy());
  session.on('error', () => session.destroy());
  peer.socket.once('end', () => session.destroy());
  session.once('close', () => {
    end.cancel();
    peer.socket.destroy();
  });
  session.once('stream', (stream, headers) => {
    stream.on('error', () => stream.destroy());
    stream.once('close', () => session.close());
    if (headers[':method'] !== 'POST' || headers[':path'] !== '/v1/enroll')
      answerStatus(stream, 404);
    else
      void answerEnrollment(
        stream,
        { remoteAddress: peer.remoteAddress, ...(certificate && { certificate }) },
        context,
      );
  });
}

/** Reads a request, asks the backend and answers. Never rejects. */
export async function answerEnrollment(
  stream: ServerHttp2Stream,
  peer: EnrollPeer,
  context: TunnelContext,
): Promise<void> {
  const { backend, clock, limits, logger, metrics } = context;
  const closed = new AbortController();
  stream.once('close', () => closed.abort(new UnreachableError('the agent went away')));
  try {
    const reply = await withDeadline(
      'enrolment',
      limits.enrollMs,
      clock,
      async (signal): Promise<EnrollReply | undefined> => {
        const parsed = enrollRequest.safeParse(await readJsonBody(stream));
        if (!parsed.success) return undefined;
        if (peer.certificate && peer.certificate.cloudlet !== parsed.data.cloudlet)
          return {
            state: 'Refused',
            reason: 'WrongCloudlet',
            message: 'the certificate is that of another Cloudlet',
          };
        return backend.enroll(parsed.data, peer, signal);
      },
      closed.signal,
    );
    metrics.enrollment?.(reply?.state ?? 'Invalid');
    if (reply) answerJson(stream, 200, reply);
    else answerStatus(stream, 400);
  } catch (error) {
    if (error instanceof TooManyRequestsError) {
      metrics.enrollment?.('TooMany');
      return answerStatus(stream, 429, {
        'retry-after': `${Math.ceil(error.retryAfterMs / 1_000)}`,
      });
    }
    metrics.enrollment?.('Failed');
    if (!closed.signal.aborted)
      logger.warn('enrolment failed', { remoteAddress: peer.remoteAddress, error });
    answerStatus(stream, error instanceof ProtocolError ? 400 : 503);
  }
}

/** The site that was shown to be at the other end, expired or not; nothing when it is a stranger. */
function identityOf(peer: Peer, caPem: string, context: TunnelContext): SiteIdentity | undefined {
  if (!peer.certificate) return undefined;
  try {
    return verifyAgent(peer.certificate, {
      authorities: parseCertificates(caPem),
      now: context.clock.now(),
      allowExpired: true,
    });
  } catch (error) {
    context.logger.info('a foreign certificate was shown for enrolment', {
      remoteAddress: peer.remoteAddress,
      error: describeError(error),
    });
    return undefined;
  }
}
