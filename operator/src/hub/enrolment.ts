/**
 * Enrolment: a key with a right gets a certificate, a stranger's key waits for a person.
 *
 * Guarantees: the token is bound to the first key that shows it by a precondition on its Secret, so of two
 * keys that race one loses; the clear token leaves the Secret in the same write; the hub signs nothing: it
 * makes a CertificateSigningRequest and hands on what the operator signed. Strangers cause no API object,
 * at most four fingerprints a Cloudlet, and are rate-limited by Cloudlet (the tunnel limits addresses). Of
 * many sites that come at once a few are served at a time and as many wait as can be served before they give
 * up: others are told when to come again, so that no certificate is signed that nobody takes.
 */
import { randomBytes } from 'node:crypto';
import { agentSigner, type Cloudlet, labels, namespaces } from '@cloudlet/crds';
import {
  type Clock,
  ConflictError,
  contentHash,
  DeadlineError,
  InvalidError,
  type Logger,
  NotFoundError,
} from '@cloudlet/runtime/base';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import {
  type EnrollPeer,
  type EnrollReply,
  type EnrollRequest,
  readCsr,
  refusals,
} from '@cloudlet/tunnel';
import {
  type CertificateSigningRequest,
  certificateSigningRequestType,
  type SecretObject,
  secretType,
} from '../kinds.ts';
import type { KeyOrigin } from '../keys.ts';
import { joinSecretName, leaseAnnotations } from '../names.ts';
import { type Right, rightOf, tokenVerdict } from './enrolment-decision.ts';
import type { HubMetrics } from './metrics.ts';
import { RateLimit } from './rate-limit.ts';
import type { Region } from './region.ts';
import type { SiteLeases } from './site-leases.ts';
import { Turns } from './turns.ts';
import { WaitingKeys } from './waiting-keys.ts';

export interface EnrolmentOptions {
  readonly client: KubernetesClient;
  readonly region: Pick<Region, 'cloudlet' | 'siteLease'>;
  readonly leases: SiteLeases;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: HubMetrics;
  /** PEM of the region's authority, for the agent to pin. */
  readonly caPem: () => string;
}

const signatureMs = 15_000;
const pollMs = 150;
const justIssuedMs = 60_000;
const retryAfterMs = 15_000;
/** The operator signs some 30 to 60 a second, and an agent waits 30 s for its answer. */
const turns = { atOnce: 32, waiting: 256, retryAfterMs } as const;

type Refused = Extract<EnrollReply, { state: 'Refused' }>;
const refused = (reason: string, message: string): Refused => ({
  state: 'Refused',
  reason,
  message,
});

export class Enrolment {
  readonly #options: EnrolmentOptions;
  readonly #byCloudlet: RateLimit;
  readonly #waiting: WaitingKeys;
  readonly #issued = new Map<string, { readonly at: number; readonly by: KeyOrigin }>();
  readonly #underWay = new Map<string, Promise<EnrollReply>>();
  readonly #turns = new Turns(turns);

  constructor(options: EnrolmentOptions) {
    this.#options = options;
    this.#byCloudlet = new RateLimit({ clock: options.clock, burst: 30, perMinute: 30 });
    this.#waiting = new WaitingKeys(options);
  }

  /** What let the key in, where this replica handed out a certificate for it within the last minute. */
  justIssued(fingerprint: string): KeyOrigin | undefined {
    const issued = this.#issued.get(fingerprint);
    if (!issued || this.#options.clock.monotonic() - issued.at >= justIssuedMs) return undefined;
    return issued.by;
  }

  /** @throws TooManyRequestsError when more sites come at once than can be served */
  async enroll(
    request: EnrollRequest,
    peer: EnrollPeer,
    signal: AbortSignal,
  ): Promise<EnrollReply> {
    // A certificate of ours is no stranger's; its renewals are not held up by one.
    if (!peer.certificate && !this.#byCloudlet.take(request.cloudlet))
      return refused('TooManyRequests', 'too many enrolment calls: try again in a minute');
    const read = await readRequest(request.csr);
    if ('state' in read) return read;
    const { fingerprint } = read;
    if (peer.certificate && peer.certificate.fingerprint !== fingerprint)
      return refused('OtherKey', 'the request is not for the key of the certificate');
    if (peer.certificate && peer.certificate.cloudlet !== request.cloudlet)
      return refused(refusals.WrongCloudlet, 'the certificate is of another Cloudlet');
    const key = `${request.cloudlet} ${fingerprint} ${contentHash(request.token ?? '', 16)}`;
    const same = this.#underWay.get(key);
    if (same) return same;
    const decide = () => this.#decide(request, peer, fingerprint, signal);
    const run = this.#turns.take(decide, signal);
    this.#underWay.set(key, run);
    try {
      const reply = await run;
      this.#options.metrics.enrolments.inc({ state: reply.state });
      return reply;
    } finally {
      this.#underWay.delete(key);
    }
  }

  async #decide(
    request: EnrollRequest,
    peer: EnrollPeer,
    fingerprint: string,
    signal: AbortSignal,
  ): Promise<EnrollReply> {
    const cloudlet = this.#options.region.cloudlet(request.cloudlet);
    const right: Right = rightOf(request.cloudlet, {
      cloudlet,
      lease: this.#options.region.siteLease(request.cloudlet),
      fingerprint,
      certificateOf: peer.certificate,
    });
    if (right.kind === 'refused') return refused(right.reason, right.message);
    if (!cloudlet) return refused(refusals.UnknownCloudlet, 'there is no such Cloudlet');
    if (right.kind === 'stranger') {
      if (request.token === undefined) return this.#wait(request, fingerprint, peer.remoteAddress);
      const refusal = await this.#useToken(cloudlet, request.token, fingerprint, peer, signal);
      if (refusal) return refusal;
    }
    return this.#issue(cloudlet, request, { fingerprint, acceptedBy: originOf(right) }, signal);
  }

  async #wait(request: EnrollRequest, fingerprint: string, address: string): Promise<EnrollReply> {
    const { cloudlet, member } = request;
    if (!(await this.#waiting.add(cloudlet, { fingerprint, member, address })))
      return refused('TooManyWaiting', 'as many keys as may wait for this Cloudlet wait already');
    const message = `add ${fingerprint} to spec.acceptedKeys of Cloudlet ${cloudlet} to let it in`;
    return { state: 'Waiting', fingerprint, message, retryAfterMs };
  }

  /** Binds the token to the key, or says why not. Two tries: the second sees who won a race. */
  async #useToken(
    cloudlet: Cloudlet,
    token: string,
    fingerprint: string,
    peer: EnrollPeer,
    signal: AbortSignal,
  ): Promise<Refused | undefined> {
    const secrets = this.#options.client.resource<SecretObject>(secretType);
    const name = joinSecretName(cloudlet.metadata.name);
    for (let attempt = 0; ; attempt++) {
      const join = await secrets
        .get(name, namespaces.system, { signal })
        .catch((error: unknown) => ignoreNotFound(error));
      const verdict = tokenVerdict(
        join,
        { token, fingerprint, cloudlet },
        this.#options.clock.now(),
      );
      if (verdict.kind === 'refused') return refused(verdict.reason, verdict.message);
      if (verdict.kind === 'bound' || !join) return undefined;
      try {
        await secrets.mergePatch(name, namespaces.system, bindingOf(join, fingerprint), {
          signal,
          fieldManager: 'cloudlet-hub',
        });
        await this.#noteAddress(cloudlet.metadata.name, peer.remoteAddress);
        return undefined;
      } catch (error) {
        if (!(error instanceof ConflictError) || attempt > 0) throw error;
      }
    }
  }

  async #noteAddress(site: string, address: string): Promise<void> {
    const annotations = { [leaseAnnotations.boundAddress]: address };
    try {
      await this.#options.leases.edit(site, () => ({ annotations }));
    } catch (error) {
      // For people to read only: not worth refusing the key for.
      this.#options.logger.warn('cannot note the address of a bound key', {
        cloudlet: site,
        error,
      });
    }
  }

  async #issue(
    cloudlet: Cloudlet,
    request: EnrollRequest,
    key: { readonly fingerprint: string; readonly acceptedBy: KeyOrigin },
    signal: AbortSignal,
  ): Promise<EnrollReply> {
    const { fingerprint, acceptedBy } = key;
    const signed = await this.#sign(cloudlet, request, fingerprint, signal);
    if (typeof signed !== 'string') return signed;
    this.#issued.delete(fingerprint);
    this.#issued.set(fingerprint, { at: this.#options.clock.monotonic(), by: acceptedBy });
    for (const [key] of this.#issued) if (!this.justIssued(key)) this.#issued.delete(key);
    await this.#waiting.drop(request.cloudlet, fingerprint);
    return { state: 'Issued', certificate: signed, ca: this.#options.caPem() };
  }

  /** The certificate in PEM, or why there is none. */
  async #sign(
    cloudlet: Cloudlet,
    request: EnrollRequest,
    fingerprint: string,
    signal: AbortSignal,
  ): Promise<string | Refused> {
    const { client, clock } = this.#options;
    const requests = client.resource<CertificateSigningRequest>(certificateSigningRequestType);
    const { name } = cloudlet.metadata;
    const suffix = `${contentHash(fingerprint, 8)}-${randomBytes(4).toString('hex')}`;
    const created = await requests.create(
      {
        metadata: {
          name: `edge-${name}-${suffix}`,
          labels: { [labels.cloudlet]: name },
          annotations: { [memberAnnotation]: request.member },
        },
        spec: {
          request: Buffer.from(request.csr).toString('base64'),
          signerName: agentSigner,
          usages: ['digital signature', 'client auth'],
        },
      },
      { signal },
    );
    const deadline = clock.monotonic() + signatureMs;
    while (clock.monotonic() < deadline) {
      await clock.sleep(pollMs, signal);
      const seen = await requests.get(created.metadata.name, undefined, { signal });
      if (seen.status?.certificate)
        return Buffer.from(seen.status.certificate, 'base64').toString('utf8');
      const no = seen.status?.conditions?.find(
        ({ type }) => type === 'Denied' || type === 'Failed',
      );
      if (no) return refused(no.reason ?? no.type, no.message ?? 'the operator denied the request');
    }
    throw new DeadlineError(`sign ${created.metadata.name}: the operator did not within 15 s`);
  }
}

/** On the signing request: the host name that the agent gave, for `status.keys`. */
export const memberAnnotation = 'edge.cloudlet.dev/member';

function originOf(right: Exclude<Right, { kind: 'refused' }>): KeyOrigin {
  if (right.kind === 'known') return right.acceptedBy;
  return right.kind === 'accepted' ? 'AcceptedKeys' : 'JoinToken';
}

async function readRequest(csr: string): Promise<{ readonly fingerprint: string } | Refused> {
  try {
    return await readCsr(csr);
  } catch (error) {
    if (error instanceof InvalidError) return refused('InvalidRequest', error.message);
    throw error;
  }
}

/** Binds the key and takes the clear token out, only if nobody changed the Secret since. */
function bindingOf(join: SecretObject, fingerprint: string): object {
  return {
    metadata: { resourceVersion: join.metadata.resourceVersion },
    data: { boundKey: Buffer.from(fingerprint).toString('base64'), join: null },
  };
}

function ignoreNotFound(error: unknown): undefined {
  if (error instanceof NotFoundError) return undefined;
  throw error;
}
