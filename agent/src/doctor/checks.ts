/**
 * What may be wrong on a site's machine: its state folder, clock, way to the region, engine. Changes nothing.
 *
 * Guarantees: the region is reached by the agent's own code, proxy and trust included, so that what succeeds
 * here succeeds there; each check has a deadline; no secret is told.
 */
import { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { request } from 'node:http';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { dial, type Join, parseAddress, type ProxyOptions, type Way } from '@cloudlet/tunnel/agent';
import { type Clock, describeError } from '@cloudlet/runtime/base';

export type Judgement =
  | { readonly kind: 'ok'; readonly message: string }
  | { readonly kind: 'warning' | 'problem'; readonly message: string; readonly remedy: string };

export interface CheckContext {
  readonly stateDir: string;
  readonly dockerSocket: string;
  readonly join: Join | undefined;
  /** Milliseconds since the epoch; no right time lies before it. */
  readonly lastGoodTime: number;
  readonly proxy: ProxyOptions | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Check {
  readonly name: string;
  readonly judge: (context: CheckContext) => Promise<Judgement>;
}

const ok = (message: string): Judgement => ({ kind: 'ok', message });
const warning = (message: string, remedy: string): Judgement => ({
  ...{ kind: 'warning', message, remedy },
});
const problem = (message: string, remedy: string): Judgement => ({
  ...{ kind: 'problem', message, remedy },
});

const leastFreeBytes = 200 * 2 ** 20;
const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`;

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

export async function stateFolderCheck({ stateDir }: CheckContext): Promise<Judgement> {
  try {
    await access(stateDir, constants.R_OK | constants.W_OK);
  } catch (error) {
    return problem(
      `${stateDir} cannot be read and written: ${describeError(error)}`,
      'Run this as the user of the agent, or give the right --state-dir.',
    );
  }
  if (((await stat(stateDir)).mode & 0o077) !== 0)
    return warning(`${stateDir} is open to other users`, `chmod 700 ${stateDir}`);
  const free = await freeBytes(stateDir);
  return free < leastFreeBytes
    ? problem(`${mebibytes(free)} are free below ${stateDir}`, 'Free space: it takes no plan.')
    : ok(`${stateDir}, ${mebibytes(free)} free`);
}

export async function joinCheck({ join: joined }: CheckContext): Promise<Judgement> {
  if (!joined)
    return problem(
      'This machine has not joined a region.',
      "Hand over what 'kubectl cloudlet join NAME' prints: cloudlet-agent --join-file FILE",
    );
  return ok(`Cloudlet ${joined.cloudlet}, hub ${joined.hub}, enrolment ${joined.enroll}`);
}

const dayMs = 86_400_000;

export async function certificateCheck({ stateDir, clock }: CheckContext): Promise<Judgement> {
  let pem: string;
  try {
    pem = await readFile(join(stateDir, 'identity', 'agent.crt'), 'utf8');
  } catch {
    return warning(
      'There is no certificate yet.',
      'The agent gets one when it first reaches the enrolment port with its join, or when its key is accepted.',
    );
  }
  const end = Date.parse(new X509Certificate(pem).validTo);
  const when = new Date(end).toISOString();
  if (end <= clock.now())
    return problem(
      `The certificate ended at ${when}.`,
      'The agent renews it by itself once it reaches the enrolment port, unless the Cloudlet is revoked.',
    );
  return end - clock.now() < 5 * dayMs
    ? warning(`The certificate ends at ${when}; agents renew with ten days left.`, 'See enrolment.')
    : ok(`the certificate ends at ${when}`);
}

const minuteMs = 60_000;

export async function clockCheck({ clock, lastGoodTime }: CheckContext): Promise<Judgement> {
  const behindMs = lastGoodTime - clock.now();
  if (behindMs > minuteMs)
    return problem(
      `The clock says ${new Date(clock.now()).toISOString()}, and it was ${Math.round(behindMs / minuteMs)} minutes later already.`,
      'timedatectl set-ntp true',
    );
  return ok(new Date(clock.now()).toISOString());
}

/** DNS, TCP and TLS, as the agent goes: directly, else inside a WebSocket. */
export const regionCheck =
  (which: 'hub' | 'enroll') =>
  async (context: CheckContext): Promise<Judgement> => {
    const { join: joined, proxy } = context;
    if (!joined) return warning('It is not known where the region is.', 'See join.');
    const address = parseAddress(joined[which]);
    if (!proxy && !isIP(address.host))
      try {
        await lookup(address.host);
      } catch (error) {
        return problem(
          `${address.host} has no address: ${describeError(error)}`,
          "Look at /etc/resolv.conf and at the name in the chart's hub.host.",
        );
      }
    const direct = await reached(context, joined, which, 'direct');
    if (direct === undefined) return ok(`${joined[which]} is the region`);
    // Enrolment has no other way.
    const inside = which === 'hub' ? await reached(context, joined, which, 'websocket') : direct;
    if (inside === undefined)
      return warning(
        `Something between here and ${joined.hub} opens or changes TLS (${direct}); the agent passes it inside a WebSocket.`,
        `Nothing must be done. To spare the detour, exempt ${address.host} from TLS inspection.`,
      );
    return problem(
      `${joined[which]}: ${direct}`,
      proxy
        ? 'Look whether the proxy of HTTPS_PROXY lets CONNECT to that port pass, and does not open its TLS.'
        : 'Look whether a firewall lets that port out, and does not open its TLS; what answers must be the hub.',
    );
  };

async function reached(
  { proxy, clock, signal }: CheckContext,
  joined: Join,
  which: 'hub' | 'enroll',
  way: Way,
): Promise<string | undefined> {
  try {
    const address = parseAddress(joined[which]);
    const trust = { caPin: joined.caPin };
    const times = [clock.now()];
    const socket = await dial({ address, way, proxy, trust, times }, signal);
    socket.destroy();
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}

interface EngineInfo {
  readonly ServerVersion?: string;
  readonly DockerRootDir?: string;
  readonly Swarm?: {
    readonly LocalNodeState?: string;
    readonly ControlAvailable?: boolean;
    readonly Error?: string;
  };
}

export async function engineCheck({ dockerSocket, signal }: CheckContext): Promise<Judgement> {
  let info: EngineInfo;
  try {
    info = (await askEngine(dockerSocket, '/info', signal)) as EngineInfo;
  } catch (error) {
    return problem(
      `The engine does not answer at ${dockerSocket}: ${describeError(error)}`,
      'systemctl status docker; the agent must run as root or in the group of the socket.',
    );
  }
  const { LocalNodeState: state, ControlAvailable: isManager, Error: told } = info.Swarm ?? {};
  if (state !== 'active')
    return problem(
      `The engine is in no swarm (${state ?? 'unknown'}${told ? `: ${told}` : ''}).`,
      "'docker swarm init' on the first machine, 'docker swarm join' with its manager token on the others.",
    );
  if (!isManager)
    return problem(
      'The engine is a worker of its swarm, and the agent wants a manager.',
      "On a manager: 'docker node promote' this one, or run the agent there.",
    );
  try {
    await askEngine(dockerSocket, '/nodes', signal);
  } catch (error) {
    return problem(
      `The swarm has no leader: ${describeError(error)}`,
      'Bring back the managers that are down: more than half must be there.',
    );
  }
  const free = await freeBytes(info.DockerRootDir ?? '/').catch(() => undefined);
  if (free !== undefined && free < leastFreeBytes)
    return problem(`${mebibytes(free)} are free for images and volumes.`, 'docker system prune');
  return ok(`engine ${info.ServerVersion ?? 'unknown'}, a manager of its swarm`);
}

const mostBytes = 4 * 2 ** 20;

function askEngine(socketPath: string, path: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, headers: { host: 'engine' }, signal }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('error', reject);
      answer.on('data', (chunk: string) => {
        if (text.length < mostBytes) text += chunk;
      });
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${answer.statusCode}: ${text.slice(0, 500)}`));
      });
    });
    asked.once('error', reject);
    asked.end();
  });
}
