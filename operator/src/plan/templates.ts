/**
 * Templates such as `{{cloudlet.name}}` in env, compose files and file contents.
 *
 * Guarantees: a name that is not known is refused with the path of the field, never left in or emptied. What
 * begins with a dot, as in `{{.Node.Hostname}}`, is the swarm's own and stays; `\{{` gives a plain `{{`.
 */
import type { AppSpec } from '@cloudlet/crds';
import { TerminalError, WaitingError } from '@cloudlet/runtime/base';

/** Each name that may be used, with its value; `undefined` is one that is not known yet. */
export type TemplateValues = Readonly<Record<string, string | undefined>>;

const fixedNames = [
  'instance.name',
  'instance.namespace',
  'instance.id',
  'cloudlet.name',
  'cluster.name',
  'uri',
  'app.version',
] as const;

const pattern = /\\\{\{|\{\{([^{}]*)\}\}/g;

/** The names that a text uses. */
export function templateNames(text: string): readonly string[] {
  return [...text.matchAll(pattern)].flatMap(([, inner]) => {
    const name = inner?.trim();
    return name === undefined || name.startsWith('.') ? [] : [name];
  });
}

/**
 * Fills in a text.
 * @throws TerminalError (`UnknownTemplate`) naming the path, WaitingError for a value that is not known yet.
 */
export function fillTemplates(text: string, values: TemplateValues, path: string): string {
  if (!text.includes('{{')) return text;
  return text.replace(pattern, (whole, inner: string | undefined) => {
    if (inner === undefined) return '{{';
    const name = inner.trim();
    if (name.startsWith('.')) return whole;
    if (!Object.hasOwn(values, name)) throw unknownTemplate(name, path, Object.keys(values));
    const value = values[name];
    if (value === undefined)
      throw new WaitingError('WaitingForSite', `${path}: {{${name}}} is not known yet`, 30_000);
    return value;
  });
}

/** Every text of an App in which templates are filled in, by path. */
export function templatedTexts(spec: AppSpec): readonly (readonly [path: string, text: string])[] {
  return [
    ...(spec.compose === undefined ? [] : [['spec.compose', spec.compose] as const]),
    ...(spec.env ?? []).flatMap(({ name, value }) =>
      value === undefined ? [] : [[`spec.env[${name}].value`, value] as const],
    ),
    ...(spec.files ?? []).flatMap(({ path, content }) =>
      content === undefined ? [] : [[`spec.files[${path}].content`, content] as const],
    ),
  ];
}

/**
 * Refuses an App that uses a template which no instance of it could fill in.
 * @throws TerminalError (`UnknownTemplate`)
 */
export function checkTemplates(
  spec: AppSpec,
  texts: readonly (readonly [path: string, text: string])[] = templatedTexts(spec),
): void {
  const known = new Set<string>([
    ...fixedNames,
    ...(spec.ports ?? []).map((port) => `ports.${port.name}`),
  ]);
  for (const [path, text] of texts)
    for (const name of templateNames(text))
      if (!known.has(name)) throw unknownTemplate(name, path, [...known]);
}

/** Whether a text of the App, or one of the instance's own, uses `name`. */
export const usesTemplate = (
  name: string,
  spec: AppSpec,
  more: readonly { readonly value: string }[] = [],
): boolean =>
  [...templatedTexts(spec).map(([, text]) => text), ...more.map(({ value }) => value)].some(
    (text) => templateNames(text).includes(name),
  );

function unknownTemplate(name: string, path: string, known: readonly string[]): TerminalError {
  const names = known
    .slice(0, 12)
    .map((candidate) => `{{${candidate}}}`)
    .join(', ');
  return new TerminalError(
    'UnknownTemplate',
    `${path}: {{${name}}} is not known; there are ${names}`,
  );
}
