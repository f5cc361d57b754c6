/**
 * The join Secret of a Cloudlet: a one-time token, its hash, and what an agent needs to find the region.
 *
 * Guarantees: the token is random, lives a day, and stands in clear only until a key is bound to it; deleting
 * the Secret makes a new one; a Secret of an earlier Cloudlet of the same name is never taken for this one's.
 */
import { type Cloudlet, groupVersion, labels, namespaces } from '@cloudlet/crds';
import { formatJoin, hashToken, mintToken } from '@cloudlet/tunnel';
import type { SecretObject } from '../../kinds.ts';
import { joinSecretName } from '../../names.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { decode } from '../../plan/secrets.ts';
import { timestamp } from '../../status.ts';

export interface JoinRecord {
  readonly cloudletId: string;
  readonly expiresAt: string;
  readonly boundKey?: string;
}

export interface JoinAddresses {
  /** host:port of the hub. */
  readonly hub: string;
  /** host:port of the enrolment listener. */
  readonly enroll: string;
  /** SHA-256, hex, of the CA's public key. */
  readonly caPin: string;
}

const tokenLifeMs = 24 * 3_600_000;

/** What a join Secret says; undefined for one that is damaged, which is then replaced. */
export function joinRecordOf(secret: SecretObject | undefined): JoinRecord | undefined {
  const field = (key: string): string | undefined => {
    const value = secret?.data?.[key];
    return value === undefined ? undefined : decode(value);
  };
  const [cloudletId, expiresAt, boundKey] = ['cloudletId', 'expiresAt', 'boundKey'].map(field);
  if (cloudletId === undefined || expiresAt === undefined || field('hash') === undefined)
    return undefined;
  return { cloudletId, expiresAt, ...(boundKey ? { boundKey } : {}) };
}

/** A new join Secret, with a token of its own. */
export function mintJoin(cloudlet: Cloudlet, addresses: JoinAddresses, now: number) {
  const { name, uid } = cloudlet.metadata;
  const token = mintToken();
  const { hub, enroll, caPin } = addresses;
  const data = {
    hash: hashToken(token),
    cloudletId: instanceIdOf(cloudlet) ?? '',
    expiresAt: timestamp(now + tokenLifeMs),
    join: formatJoin({ cloudlet: name, hub, enroll, caPin, token }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: joinSecretName(name),
      namespace: namespaces.system,
      labels: { [labels.cloudlet]: name, [labels.managedBy]: 'cloudlet-operator' },
      ownerReferences: [
        { apiVersion: groupVersion, kind: 'Cloudlet', name, uid, controller: true },
      ],
    },
    type: 'Opaque',
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
}
