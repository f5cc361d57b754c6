/**
 * What a caller asks for, from path and query. Pure.
 *
 * Guarantees: everything is bounded and checked before a site hears of it; parameters are those that kubectl
 * uses for pods (`command`, `container`, `tty`, `stdin`, `follow`, `tailLines`, `sinceSeconds`, `timestamps`),
 * and `port` for a forwarded port.
 */
import { InvalidError, NotFoundError } from '@cloudlet/runtime/base';
import { type SessionRequest, sessionRequest } from '@cloudlet/tunnel';
import { accessRoot } from './discovery.ts';

export type Target =
  | { readonly kind: 'appinst'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'cloudlet'; readonly name: string };

/** A session but for where it runs. */
export type SessionParameters = Omit<SessionRequest, 'id' | 'user' | 'instance'>;

export interface AccessRequest {
  readonly target: Target;
  readonly parameters: SessionParameters;
}

const kinds = { exec: 'exec', log: 'logs', portforward: 'portforward' } as const;
const appInstPath = /^\/namespaces\/([^/]+)\/appinsts\/([^/]+)\/(exec|log|portforward)$/;
const cloudletPath = /^\/cloudlets\/([^/]+)\/shell$/;

/**
 * @throws NotFoundError for another path, InvalidError that names the parameter.
 */
export function parseAccessRequest(url: URL): AccessRequest {
  const path = url.pathname.startsWith(accessRoot) ? url.pathname.slice(accessRoot.length) : '';
  const [, namespace, name, verb] = appInstPath.exec(path) ?? [];
  if (namespace !== undefined && name !== undefined && verb !== undefined) {
    const kind = kinds[verb as keyof typeof kinds];
    return {
      target: { kind: 'appinst', namespace: decoded(namespace), name: decoded(name) },
      parameters: parametersOf(kind, url.searchParams),
    };
  }
  const [, cloudlet] = cloudletPath.exec(path) ?? [];
  if (cloudlet !== undefined)
    return {
      target: { kind: 'cloudlet', name: decoded(cloudlet) },
      parameters: parametersOf('shell', url.searchParams),
    };
  throw new NotFoundError(`there is nothing at ${url.pathname.slice(0, 200)}`);
}

function parametersOf(kind: SessionRequest['kind'], query: URLSearchParams): SessionParameters {
  const argv = query.getAll('command');
  const isProgram = kind === 'exec' || kind === 'shell';
  if (kind === 'exec' && argv.length === 0) throw new InvalidError('command: exec wants one');
  if (kind === 'portforward' && !query.has('port'))
    throw new InvalidError('port: portforward wants one');
  const wanted = {
    kind,
    ...text(query, 'container', 'target'),
    ...(argv.length > 0 ? { argv } : {}),
    ...(isProgram ? { ...flag(query, 'tty'), ...flag(query, 'stdin') } : {}),
    ...(kind === 'logs'
      ? {
          ...flag(query, 'follow'),
          ...flag(query, 'timestamps'),
          ...number(query, 'tailLines'),
          ...number(query, 'sinceSeconds'),
        }
      : {}),
    ...(kind === 'portforward' ? number(query, 'port') : {}),
  };
  const parsed = sessionRequest.omit({ id: true, user: true, instance: true }).safeParse(wanted);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidError(`${issue?.path.join('.') ?? 'the query'}: ${issue?.message ?? ''}`);
  }
  return parsed.data;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new InvalidError('the path is not well encoded', { cause });
  }
}

const text = (query: URLSearchParams, name: string, as: string): object =>
  query.get(name) ? { [as]: query.get(name) } : {};

const number = (query: URLSearchParams, name: string): object =>
  query.has(name) ? { [name]: Number(query.get(name)) } : {};

function flag(query: URLSearchParams, name: string): object {
  const value = query.get(name);
  if (value === null || value === 'false' || value === '0') return {};
  if (value !== 'true' && value !== '1' && value !== '')
    throw new InvalidError(`${name}: true or false is wanted`);
  return { [name]: true };
}
