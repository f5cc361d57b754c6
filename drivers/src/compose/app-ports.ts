/** Ports of an App for what the services of a compose file publish. */
import type { AppPort } from '@cloudlet/crds';
import type { ComposePort, ComposeService } from './model.ts';

const maxPorts = 200;
const wellKnown: Readonly<Record<string, string>> = { '80/tcp': 'http', '443/tcp': 'https' };

export function appPorts(services: readonly ComposeService[], notes: string[]): AppPort[] {
  const names = new Set<string>();
  const ports = services.flatMap((service) =>
    runsOf(service, notes).map(({ first, last, protocol, published }): AppPort => {
      const name = freeName(service.name, first, protocol, names);
      if (published !== 0 && published !== first)
        notes.push(
          `App spec.ports ${name}: was published as ${published}; status.ports of the AppInst names the public port`,
        );
      return {
        name,
        protocol: protocol === 'udp' ? 'UDP' : 'TCP',
        port: first,
        ...(last > first ? { endPort: last } : {}),
        ...(services.length > 1 ? { service: service.name } : {}),
      };
    }),
  );
  if (ports.length > maxPorts)
    notes.push(`App spec.ports: only ${maxPorts} of ${ports.length} ports fit`);
  return ports.slice(0, maxPorts);
}

interface Run {
  readonly first: number;
  readonly last: number;
  readonly protocol: 'tcp' | 'udp';
  readonly published: number;
}

/** Published ports of the container; three or more in a row make a range. */
function runsOf(service: ComposeService, notes: string[]): readonly Run[] {
  const runs: Run[] = [];
  for (const protocol of ['tcp', 'udp'] as const) {
    const of = service.ports.filter((port) => (port.protocol || 'tcp') === protocol);
    const byTarget = new Map<number, ComposePort>(of.map((port) => [port.target, port]));
    const targets = [...byTarget.keys()].sort((a, b) => a - b);
    for (let at = 0; at < targets.length;) {
      const first = targets[at] as number;
      let count = 1;
      while (targets[at + count] === first + count && count < 1000) count += 1;
      const length = count >= 3 ? count : 1;
      const published = byTarget.get(first)?.published ?? 0;
      runs.push({ first, last: first + length - 1, protocol, published });
      at += length;
    }
  }
  if (service.ports.some(({ protocol }) => protocol === 'sctp'))
    notes.push(`${service.path}.ports: ports of sctp are left out; Apps have TCP, UDP and HTTP`);
  return runs;
}

function freeName(service: string, port: number, protocol: string, taken: Set<string>): string {
  const plain = service
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const suffix = `-${port}${protocol === 'udp' ? 'u' : ''}`;
  const candidates = [
    wellKnown[`${port}/${protocol}`],
    `${plain.slice(0, 15 - suffix.length).replace(/-+$/, '') || 'p'}${suffix}`,
  ];
  const numbered = Array.from({ length: 1000 }, (_, index) => `p${index}${suffix}`);
  const name = [...candidates, ...numbered].find((text) => text !== undefined && !taken.has(text));
  taken.add(name ?? '');
  return name ?? '';
}
