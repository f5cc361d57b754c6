/** The demo's manifests with the bed's names filled in, and secrets made for it. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface DemoNames {
  /** host:port of the registry. */
  readonly registry: string;
  readonly cloudlet: string;
}

/** YAML of the coffee shop's App and AppInst. */
export const coffeeShop = (names: DemoNames): string => filled('coffee-shop.yaml', names);

/** YAML of the panel's App and AppInst. */
export const panel = (names: DemoNames): string => filled('panel.yaml', names);

function filled(file: string, { registry, cloudlet }: DemoNames): string {
  return readFileSync(join(import.meta.dirname, file), 'utf8')
    .replaceAll('@REGISTRY@', registry)
    .replaceAll('@CLOUDLET@', cloudlet);
}

/** A Secret with a password for each key, made now. */
export const secretOf = (name: string, keys: readonly string[]): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name },
  stringData: Object.fromEntries(keys.map((key) => [key, randomBytes(18).toString('base64url')])),
});

/** Secrets that `coffeeShop` and `panel` name. */
export const demoSecrets = (): readonly object[] => [
  secretOf('coffee-shop', ['db-password', 'broker-password']),
  secretOf('panel', ['password', 'agent-key']),
];
