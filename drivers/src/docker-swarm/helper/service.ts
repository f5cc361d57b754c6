/**
 * The service of the nodes' helpers: one task on every node, with the engine's socket and a fixed port. Pure.
 *
 * Guarantees: its labels are those of no instance, so it is nobody's orphan; a node whose helper fails keeps
 * no other one back; the container may do nothing but what its socket lets it. The image's entry point is the
 * agent's program. It listens on the node's own network and publishes nothing: a task that is made in the
 * moment in which the swarm elects a leader gets no published port, and keeps none.
 */
import type { ServiceSpec } from '../../compose/index.ts';
import { imageLabel } from '../names.ts';
import { partLabel } from './objects.ts';
import { helperDrainMs } from './server.ts';

export const helperServiceName = 'cloudlet-helper';

export interface HelperServiceOptions {
  readonly image: string;
  readonly port: number;
  /** The engine's socket on every node. */
  readonly socketPath: string;
  readonly certificate: { readonly id: string; readonly name: string };
  readonly authorities: readonly { readonly id: string; readonly name: string }[];
}

const inside = {
  socket: '/run/docker.sock',
  certificate: 'cloudlet-helper.pem',
  authorities: '/run/cloudlet-authorities',
} as const;
const second = 1_000_000_000;

export function helperService(options: HelperServiceOptions): ServiceSpec {
  const { image, port, socketPath, certificate, authorities } = options;
  const file = (Name: string, Mode: number) => ({ Name, UID: '0', GID: '0', Mode });
  return {
    Name: helperServiceName,
    Labels: { [partLabel]: 'helper', [imageLabel]: image },
    Mode: { Global: {} },
    TaskTemplate: {
      ContainerSpec: {
        Image: image,
        Labels: {},
        Args: [
          'node',
          ...['--docker-socket', inside.socket, '--port', String(port)],
          ...['--tls-file', `/run/secrets/${inside.certificate}`],
          ...['--authorities', inside.authorities],
        ],
        User: '0',
        ReadOnly: true,
        CapabilityDrop: ['ALL'],
        StopGracePeriod: (helperDrainMs / 1000 + 5) * second,
        Mounts: [{ Type: 'bind', Source: socketPath, Target: inside.socket, ReadOnly: true }],
        Secrets: [
          {
            File: file(inside.certificate, 0o400),
            SecretID: certificate.id,
            SecretName: certificate.name,
          },
        ],
        Configs: authorities.map(({ id, name }) => ({
          File: file(`${inside.authorities}/${name}.pem`, 0o444),
          ConfigID: id,
          ConfigName: name,
        })),
      },
      Resources: { Limits: { MemoryBytes: 128 * 1024 * 1024 } },
      RestartPolicy: { Condition: 'any', Delay: 2 * second },
      Placement: {},
      Networks: [{ Target: 'host' }],
      LogDriver: { Name: 'json-file', Options: { 'max-size': '1m', 'max-file': '2' } },
      ForceUpdate: 0,
    },
    // The port is fixed, so the old one ends before the new one begins.
    UpdateConfig: {
      Parallelism: 1,
      Monitor: second,
      FailureAction: 'continue',
      MaxFailureRatio: 0,
      Order: 'stop-first',
    },
    EndpointSpec: { Mode: 'dnsrr' },
  };
}
