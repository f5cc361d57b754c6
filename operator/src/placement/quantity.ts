/**
 * Kubernetes quantities as whole numbers: CPUs in thousandths, memory and disk in bytes, rounded up, so that
 * what is reserved is never less than what was asked for.
 */
import type { FlavorSpec } from '@cloudlet/crds';
import { TerminalError } from '@cloudlet/runtime/base';

const factors: Readonly<Record<string, number>> = {
  '': 1,
  m: 1 / 1000,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/**
 * The value of a quantity times `scale`, rounded up to a whole number.
 * @throws TerminalError (`InvalidSpec`) for what is no quantity.
 */
export function parseQuantity(text: string, scale = 1): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(text);
  const factor = factors[match?.[2] ?? ''];
  if (!match || factor === undefined)
    throw new TerminalError('InvalidSpec', `'${text}' is not a quantity such as 500m or 256Mi`);
  // 0.1 * 1000 and the like come out a hair above a whole number: six digits are kept before rounding up.
  return Math.ceil(Number((Number(match[1]) * factor * scale).toFixed(6)));
}

/** What one replica, or a whole instance, asks for. */
export interface Resources {
  readonly cpuMillis?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly diskBytes?: number | undefined;
}

/** The size of one replica of a Flavor. */
export function resourcesOf(flavor: FlavorSpec): Resources {
  return {
    cpuMillis: parseQuantity(flavor.vcpus, 1000),
    memoryBytes: parseQuantity(flavor.memory),
    ...(flavor.disk === undefined ? {} : { diskBytes: parseQuantity(flavor.disk) }),
  };
}

export function timesReplicas(resources: Resources, replicas: number): Resources {
  const { cpuMillis, memoryBytes, diskBytes } = resources;
  return {
    ...(cpuMillis === undefined ? {} : { cpuMillis: cpuMillis * replicas }),
    ...(memoryBytes === undefined ? {} : { memoryBytes: memoryBytes * replicas }),
    ...(diskBytes === undefined ? {} : { diskBytes: diskBytes * replicas }),
  };
}

/** Bytes for people, in the largest binary unit that leaves a number of at least 1. */
export function formatBytes(bytes: number): string {
  const units = ['', 'Ki', 'Mi', 'Gi', 'Ti'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))}${units[unit] ?? ''}`;
}
