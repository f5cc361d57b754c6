/** `host:port` of flags. */
import { TerminalError } from '@cloudlet/runtime/base';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** @throws TerminalError (`InvalidFlags`) naming the flag. */
export function parseEndpoint(flag: string, value: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (!match || port > 65_535)
    throw new TerminalError('InvalidFlags', `--${flag} wants host:port, not '${value}'`);
  return { host: match[1] ?? match[2] ?? '', port };
}

export const formatEndpoint = ({ host, port }: Endpoint): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
