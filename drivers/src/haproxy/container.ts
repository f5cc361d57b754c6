/**
 * The container that HAProxy runs in: one on the manager that the agent is on, with the host's network.
 *
 * Guarantees: restarted by the engine whenever it ends; may do nothing but bind ports; its folder of sockets
 * is the agent's alone.
 */
import { confined, type LocalContainer } from '../docker-swarm/local-container.ts';
import { insideDir } from './config.ts';

export function haproxyContainer(image: string, dir: string): LocalContainer {
  return {
    name: 'cloudlet-load-balancer',
    what: 'the load balancer',
    settings: {
      Image: image,
      Cmd: [
        'haproxy',
        '-W',
        '-db',
        '-S',
        `${insideDir}/master.sock`,
        '-f',
        `${insideDir}/haproxy.cfg`,
      ],
      StopSignal: 'SIGUSR1',
      User: '0',
      HostConfig: confined(`${dir}:${insideDir}`, ['NET_BIND_SERVICE']),
    },
  };
}
