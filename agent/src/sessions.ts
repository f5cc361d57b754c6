/** Sessions at the site: a shell, a program, logs or a port, served over a stream of the tunnel. */
import type { Duplex } from 'node:stream';
import type { SessionRequest } from '@cloudlet/tunnel';

export interface Sessions {
  /** Serves one session until it ends; never throws. */
  serve(request: SessionRequest, stream: Duplex, signal: AbortSignal): Promise<void>;
}
