/**
 * Certificate and key of a part of the region, from the Secret that the operator keeps.
 *
 * Guarantees: waits for the Secret at start; a renewed one is taken up within a minute, without a restart;
 * one that cannot be read leaves the last good one in use and says so.
 */
import type { X509Certificate } from 'node:crypto';
import { namespaces } from '@cloudlet/crds';
import { type Clock, InvalidError, type Logger, retry, Secret } from '@cloudlet/runtime/base';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { parseCertificates } from '@cloudlet/tunnel';
import { type SecretObject, secretType } from '../kinds.ts';

export interface RegionTls {
  /** PEM; a bundle while an authority is replaced. */
  readonly ca: string;
  readonly cert: string;
  readonly key: Secret;
  readonly authorities: readonly X509Certificate[];
}

export interface TlsSourceOptions {
  readonly client: KubernetesClient;
  /** Name of the Secret in the system namespace. */
  readonly secretName: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const pollMs = 60_000;

export class TlsSource {
  readonly #options: TlsSourceOptions;
  readonly #handlers = new Set<(tls: RegionTls) => void>();
  #current: RegionTls;

  private constructor(options: TlsSourceOptions, first: RegionTls) {
    this.#options = options;
    this.#current = first;
  }

  /** Resolves when there is a certificate. */
  static async open(options: TlsSourceOptions, signal: AbortSignal): Promise<TlsSource> {
    const { clock, logger, secretName } = options;
    const first = await retry(() => read(options, signal), {
      clock,
      signal,
      baseMs: 200,
      maxMs: 5_000,
      onRetry: (error) => logger.info('waiting for the certificate', { secret: secretName, error }),
    });
    return new TlsSource(options, first);
  }

  get current(): RegionTls {
    return this.#current;
  }

  onChange(handler: (tls: RegionTls) => void): void {
    this.#handlers.add(handler);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, secretName } = this.#options;
    while (!signal.aborted) {
      try {
        await clock.sleep(pollMs, signal);
        const next = await read(this.#options, signal);
        if (next.cert === this.#current.cert && next.ca === this.#current.ca) continue;
        this.#current = next;
        logger.info('took up a new certificate', { secret: secretName });
        for (const handler of this.#handlers) handler(next);
      } catch (error) {
        if (!signal.aborted)
          logger.warn('cannot read the certificate', { secret: secretName, error });
      }
    }
  }
}

async function read(options: TlsSourceOptions, signal: AbortSignal): Promise<RegionTls> {
  const secrets = options.client.resource<SecretObject>(secretType);
  const { data } = await secrets.get(options.secretName, namespaces.system, { signal });
  const text = (key: string): string => {
    const value = data?.[key];
    if (value === undefined) throw new InvalidError(`Secret ${options.secretName} has no ${key}`);
    return Buffer.from(value, 'base64').toString('utf8');
  };
  const ca = text('ca.crt');
  return {
    ca,
    cert: text('tls.crt'),
    key: new Secret(text('tls.key')),
    authorities: parseCertificates(ca),
  };
}
