/**
 * The agent's image as a container beside the cluster, by Testcontainers on the engine of the node.
 *
 * Guarantees: nothing is pulled (the engine has the image, and Testcontainers' own reaper is off); the
 * container goes when its owner lets go of it, and with the engine's cluster otherwise.
 */
import { version } from '../../images/product.ts';
import { testcontainersOn } from '../../testbed/containers/testcontainers.ts';
import type { KindBed } from '../bed.ts';

export interface AgentContainer extends AsyncDisposable {
  /** What it has logged. */
  log(): string;
}

/** Starts an agent with the driver `fake`, and waits until it has joined. */
export async function startAgentContainer(bed: KindBed, join: string): Promise<AgentContainer> {
  // Nothing is published; looked for, the host's address would be that of a bridge that the engine may not have.
  const { engineEnv: env } = bed;
  const { GenericContainer, Wait } = await testcontainersOn({ env, host: '127.0.0.1' });
  const args = ['--state-dir', '/var/lib/cloudlet-agent/state', '--driver', 'fake'];
  const joined = ['--join-file', '/etc/cloudlet-join', '--health-address', 'off'];
  const lines: string[] = [];
  const container = await new GenericContainer(`cloudlet-agent:${version}`)
    .withNetworkMode('kind')
    .withCommand([...args, ...joined])
    .withCopyContentToContainer([{ content: join, target: '/etc/cloudlet-join', mode: 0o444 }])
    .withLogConsumer((stream) => stream.on('data', (line) => lines.push(String(line))))
    .withWaitStrategy(Wait.forLogMessage(/"message":"connected"/))
    .withStartupTimeout(60_000)
    .start();
  return {
    log: () => lines.join('\n'),
    async [Symbol.asyncDispose]() {
      await container.stop({ remove: true, removeVolumes: true });
    },
  };
}
