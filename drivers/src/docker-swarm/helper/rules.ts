/**
 * What a node's helper lets through to its engine: programs in containers, their list, statistics, volumes. Nothing that
 * makes, starts or stops a container, so that the helper gives less than the engine's socket does.
 */
interface Rule {
  readonly method: string;
  readonly path: RegExp;
}

const id = '[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}';
const rules: readonly Rule[] = [
  { method: 'GET', path: /^\/containers\/json$/ },
  { method: 'POST', path: new RegExp(`^/containers/${id}/exec$`) },
  { method: 'POST', path: new RegExp(`^/exec/${id}/(start|resize)$`) },
  { method: 'GET', path: new RegExp(`^/exec/${id}/json$`) },
  { method: 'GET', path: new RegExp(`^/containers/${id}/stats$`) },
  { method: 'GET', path: /^\/volumes$/ },
  { method: 'DELETE', path: new RegExp(`^/volumes/${id}$`) },
  { method: 'GET', path: /^\/(info|version|_ping)$/ },
];

export function isAllowed(method: string | undefined, url: string | undefined): boolean {
  const path = url?.split('?')[0] ?? '';
  return rules.some((rule) => rule.method === method && rule.path.test(path));
}
