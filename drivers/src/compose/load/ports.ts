/** Reads `ports` in both forms, and `expose`. */
import type { Field } from '../field.ts';
import type { ComposePort, Protocol } from '../model.ts';

const protocols = ['tcp', 'udp', 'sctp'] as const;
const maxPorts = 1000;
const tooMany = `publishes more than ${maxPorts} ports`;

export function readPorts(field: Field | undefined): readonly ComposePort[] {
  const ports: ComposePort[] = [];
  for (const item of field?.items() ?? []) {
    ports.push(...(item.isMap ? readLong(item) : readShort(item)));
    if (ports.length > maxPorts) return field?.wrong(tooMany) ?? [];
  }
  return ports;
}

function readLong(field: Field): readonly ComposePort[] {
  const members = field.members({
    known: ['mode', 'target', 'published', 'protocol'],
    ignored: {
      name: 'is ignored: a swarm does not name ports',
      app_protocol: 'is ignored: a swarm does not use it',
      host_ip: 'is ignored: a swarm publishes on all addresses of a node',
    },
  });
  const target = members?.get('target')?.integer(1, 65535);
  if (!members) return [];
  if (target === undefined) {
    if (!members.has('target')) field.wrong('needs `target`, the port of the container');
    return [];
  }
  const protocol = members.text('protocol') ?? '';
  if (protocol !== '' && !isProtocol(protocol))
    members.get('protocol')?.wrong('must be one of tcp, udp, sctp');
  const mode = members.text('mode') ?? '';
  if (mode !== '' && mode !== 'ingress' && mode !== 'host')
    return members.get('mode')?.wrong('must be one of ingress, host') ?? [];
  const published = readPublished(members.get('published'));
  return [{ protocol: isProtocol(protocol) ? protocol : '', target, published, mode }];
}

function readPublished(field: Field | undefined): number {
  if (!field) return 0;
  if (typeof field.value === 'number') return field.integer(0, 65535) ?? 0;
  const text = field.text();
  if (text === undefined || text === '') return 0;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65535) {
    field.warn('`docker stack deploy` wants the number without quotes');
    return Number(text);
  }
  return field.wrong('must be a port from 0 to 65535; a range is not supported here') ?? 0;
}

function readShort(field: Field): readonly ComposePort[] {
  const text = field.textOrNumber();
  if (text === undefined) return [];
  const found =
    /^(?:(?:(.*):)?(\d{0,5}(?:-\d{1,5})?):)?(\d{1,5})(?:-(\d{1,5}))?(?:\/([a-zA-Z]*))?$/.exec(text);
  const protocol = (found?.[5] || 'tcp').toLowerCase();
  const first = port(found?.[3]);
  const last = port(found?.[4] ?? found?.[3]);
  if (!found || first === undefined || last === undefined || first > last || !isProtocol(protocol))
    return (
      field.wrong('must read as "80", "8080:80", "8080:80/udp" or "9000-9002:9000-9002"') ?? []
    );
  if (found[1] !== undefined && !readAddress(found[1], field)) return [];
  if (last - first >= maxPorts) return field.wrong(tooMany) ?? [];
  const hosts = hostPorts(found[2] ?? '', last - first + 1, field);
  return hosts.flatMap((host) => {
    const target = first + host.offset;
    return [{ protocol, target, published: host.published, mode: 'ingress' as const }];
  });
}

function readAddress(address: string, field: Field): boolean {
  const plain = address.replace(/^\[(.*)\]$/, '$1');
  if (!/^[0-9a-fA-F:.]*$/.test(plain)) {
    field.wrong('must start with an address, such as "127.0.0.1:8080:80"');
    return false;
  }
  if (plain !== '' && plain !== '0.0.0.0' && plain !== '::')
    field.warn('its address is ignored: a swarm publishes on all addresses of a node');
  return true;
}

interface HostPort {
  readonly offset: number;
  readonly published: number;
}

/** Ports of the host for so many of the container: none, as many, or a choice of them for one. */
function hostPorts(text: string, count: number, field: Field): readonly HostPort[] {
  if (text === '') return Array.from({ length: count }, (_, offset) => ({ offset, published: 0 }));
  const [from, to] = text.split('-');
  const first = port(from);
  const last = port(to ?? from);
  if (first === undefined || last === undefined || first > last)
    return field.wrong('must publish ports from 1 to 65535') ?? [];
  if (last - first >= maxPorts) return field.wrong(tooMany) ?? [];
  if (last - first + 1 === count)
    return Array.from({ length: count }, (_, offset) => ({ offset, published: first + offset }));
  if (count === 1)
    return Array.from({ length: last - first + 1 }, (_, step) => ({
      offset: 0,
      published: first + step,
    }));
  return (
    field.wrong('publishes another number of ports than the container has; make both the same') ??
    []
  );
}

export function readExpose(field: Field | undefined) {
  return (field?.items() ?? []).flatMap((item) => {
    const text = item.textOrNumber();
    const found = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(\w+))?$/.exec(text ?? '');
    const first = port(found?.[1]);
    const last = port(found?.[2] ?? found?.[1]);
    const protocol = (found?.[3] ?? 'tcp').toLowerCase();
    if (first === undefined || last === undefined || first > last || !isProtocol(protocol))
      return text === undefined ? [] : (item.wrong('must read as "80" or "80/udp"') ?? []);
    const count = Math.min(last - first + 1, maxPorts);
    return Array.from({ length: count }, (_, step) => ({ port: first + step, protocol }));
  });
}

function port(text: string | undefined): number | undefined {
  const value = Number(text);
  return text && value >= 1 && value <= 65535 ? value : undefined;
}

function isProtocol(text: string): text is Protocol {
  return protocols.some((protocol) => protocol === text);
}
