/**
 * Public ports of a site: which ones an instance gets.
 *
 * Guarantees: no two instances hold one port of one transport; a port that an instance has stays its own as
 * long as name, transport and length stay; the number that the App names is given where it is free, else the
 * same other one for the same question, whatever was asked before; TCP and UDP are separate; a range is whole.
 */
import { createHash } from 'node:crypto';
import { type AppPort, type LedgerPort, reservedPorts } from '@cloudlet/crds';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Where a port comes from when the wanted one is taken, unless the Cloudlet says otherwise. */
export const defaultPortRange: PortRange = { first: 10_000, last: 19_999 };

export interface PortRequest {
  /** Instance id: seeds the choice of another port. */
  readonly id: string;
  /** Of the App; internal ones are skipped. */
  readonly wanted: readonly AppPort[];
  /** What the instance holds already, present and former, best first. */
  readonly held: readonly LedgerPort[];
  /** What others hold. */
  readonly taken: readonly LedgerPort[];
  readonly range: PortRange;
}

export type PortGrant =
  | { readonly kind: 'Granted'; readonly ports: readonly LedgerPort[] }
  | { readonly kind: 'Exhausted'; readonly port: string };

/** The ports that an instance gets, in the order of the App. */
export function allocatePorts(request: PortRequest): PortGrant {
  const occupied = new Occupied(request.taken);
  const wanted = request.wanted.filter((port) => !port.internalOnly);
  const kept = new Map<string, LedgerPort>();
  // First what stays, so that a new port never takes what another of the instance has.
  for (const port of wanted) {
    const held = heldPort(port, request.held, occupied);
    if (!held) continue;
    kept.set(port.name, held);
    occupied.add(held);
  }
  const ports: LedgerPort[] = [];
  for (const port of wanted) {
    const granted = kept.get(port.name) ?? freshPort(port, request, occupied);
    if (!granted) return { kind: 'Exhausted', port: port.name };
    occupied.add(granted);
    ports.push(granted);
  }
  return { kind: 'Granted', ports };
}

/** TCP or UDP: what a port occupies at the site. */
export const transportOf = (protocol: AppPort['protocol']): LedgerPort['protocol'] =>
  protocol === 'UDP' ? 'UDP' : 'TCP';

export const countOf = (port: { readonly port: number; readonly endPort?: number | undefined }) =>
  (port.endPort ?? port.port) - port.port + 1;

function heldPort(
  port: AppPort,
  held: readonly LedgerPort[],
  occupied: Occupied,
): LedgerPort | undefined {
  const count = countOf(port);
  const match = held.find(
    (candidate) =>
      candidate.name === port.name &&
      candidate.protocol === transportOf(port.protocol) &&
      (candidate.count ?? 1) === count &&
      occupied.isFree(candidate.protocol, candidate.publicPort, count),
  );
  return match && ledgerPortOf(port, match.publicPort);
}

function freshPort(
  port: AppPort,
  request: PortRequest,
  occupied: Occupied,
): LedgerPort | undefined {
  const transport = transportOf(port.protocol);
  const count = countOf(port);
  if (!isReserved(transport, port.port, count) && occupied.isFree(transport, port.port, count))
    return ledgerPortOf(port, port.port);
  const { first, last } = request.range;
  const choices = last - first + 1 - (count - 1);
  if (choices <= 0) return undefined;
  const start = seedOf(`${request.id}/${transport}/${port.name}`) % choices;
  for (let step = 0; step < choices; step++) {
    const candidate = first + ((start + step) % choices);
    if (!isReserved(transport, candidate, count) && occupied.isFree(transport, candidate, count))
      return ledgerPortOf(port, candidate);
  }
  return undefined;
}

function ledgerPortOf(port: AppPort, publicPort: number): LedgerPort {
  const count = countOf(port);
  return {
    name: port.name,
    protocol: transportOf(port.protocol),
    port: port.port,
    publicPort,
    ...(count > 1 ? { count } : {}),
  };
}

function isReserved(transport: LedgerPort['protocol'], first: number, count: number): boolean {
  const reserved: readonly number[] = reservedPorts[transport];
  return reserved.some((port) => port >= first && port < first + count);
}

function seedOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0);
}

/** Every port that is taken, of both transports. */
class Occupied {
  readonly #ports = { TCP: new Set<number>(), UDP: new Set<number>() };

  constructor(ports: readonly LedgerPort[]) {
    for (const port of ports) this.add(port);
  }

  add(port: LedgerPort): void {
    for (let offset = 0; offset < (port.count ?? 1); offset++)
      this.#ports[port.protocol].add(port.publicPort + offset);
  }

  isFree(transport: LedgerPort['protocol'], first: number, count: number): boolean {
    if (first + count - 1 > 65_535) return false;
    for (let offset = 0; offset < count; offset++)
      if (this.#ports[transport].has(first + offset)) return false;
    return true;
  }
}
