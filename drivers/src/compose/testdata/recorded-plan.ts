/** Our plan in the form of what the command-line tool was recorded to send. */
import { bindReferences, convertCompose, type StackPlan } from '../index.ts';
import { corpusDir, corpusEnv, corpusFiles, corpusStack } from './corpus.ts';

/** The plan of a file of the corpus, read in the same world as the tool's. */
export function corpusPlan(text: string): StackPlan {
  return convertCompose({
    text,
    stack: corpusStack,
    cliNames: true,
    env: corpusEnv,
    files: corpusFiles(),
    workingDir: corpusDir,
  });
}

export function asRecorded(plan: StackPlan) {
  const ids = (objects: readonly { readonly name: string }[]) =>
    new Map(objects.map(({ name }) => [name, `id-of-${name}`]));
  const bound = { configs: ids(plan.configs), secrets: ids(plan.secrets) };
  return {
    networks: byName(
      plan.networks.flatMap(({ spec }) =>
        // What the tool's client adds to every network, at its default.
        spec ? [{ ...spec, Scope: '', Ingress: false, ConfigOnly: false, ConfigFrom: null }] : [],
      ),
    ),
    configs: byName(plan.configs.flatMap(({ spec }) => spec ?? [])),
    secrets: byName(plan.secrets.flatMap(({ spec }) => spec ?? [])),
    services: byName(plan.services.map(({ spec }) => bindReferences(spec, bound))),
  };
}

function byName<T extends { readonly Name: string }>(items: readonly T[]): readonly T[] {
  return [...items].sort((a, b) => (a.Name < b.Name ? -1 : 1));
}
