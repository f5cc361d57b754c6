/**
 * Names and paths of a stack that an engine would take for something else, or refuse with a sentence of its
 * own. Pure.
 *
 * Guarantees: every name at the engine is letters, digits, dots, dashes and underscores; a file or a volume
 * is mounted at a path that leads nowhere but down; what is not so is refused by where it stands.
 */
import { ComposeError, type Mistake, type StackPlan } from '../compose/index.ts';

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** @throws ComposeError that names each. */
export function refuseNames(stack: StackPlan): void {
  const mistakes = [...namesOf(stack), ...targetsOf(stack)];
  if (mistakes.length > 0) throw new ComposeError(mistakes.slice(0, 20));
}

function namesOf(stack: StackPlan): readonly Mistake[] {
  const named = (kind: string, objects: readonly { readonly name: string }[]) =>
    objects.map(({ name }) => ({ path: kind, name }));
  return [
    ...named('networks', stack.networks),
    ...named('volumes', stack.volumes),
    ...named('configs', stack.configs),
    ...named('secrets', stack.secrets),
    ...stack.services.map(({ spec }) => ({ path: 'services', name: spec.Name })),
  ]
    .filter(({ name }) => !namePattern.test(name))
    .map(({ path, name }) => ({ path, message: `${shown(name)} is no name at the engine` }));
}

function targetsOf({ services }: StackPlan): readonly Mistake[] {
  return services.flatMap(({ name, spec }) => {
    const { Mounts = [], Configs = [], Secrets = [] } = spec.TaskTemplate.ContainerSpec;
    const files = [...Configs, ...Secrets].map(({ File }) => File?.Name ?? '');
    const targets = Mounts.map(({ Target }) => Target ?? '');
    return [
      ...[...files, ...targets].filter(leadsElsewhere),
      ...targets.filter((target) => !target.startsWith('/')),
    ].map((path) => ({
      path: `services.${name}`,
      message: `${shown(path)} is no path in a container: it must be absolute, without ..`,
    }));
  });
}

const leadsElsewhere = (path: string): boolean =>
  path.includes('\0') || path.split('/').includes('..');

const shown = (text: string): string => JSON.stringify(text.slice(0, 100));
