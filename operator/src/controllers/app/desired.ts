/** What is wrong with an App, as far as the region can tell before a site tries it. Pure. */
import { type App, appReasons, type Flavor } from '@cloudlet/crds';
import { describeError, TerminalError } from '@cloudlet/runtime/base';
import { parse } from 'yaml';
import { checkTemplates } from '../../plan/templates.ts';

export interface Problem {
  readonly reason: string;
  readonly message: string;
}

export function problemOf(app: App, flavor: Flavor | undefined): Problem | undefined {
  const name = app.spec.defaultFlavorRef?.name;
  if (name !== undefined && !flavor)
    return {
      reason: appReasons.FlavorNotFound,
      message: `spec.defaultFlavorRef: there is no Flavor '${name}'.`,
    };
  return templateProblem(app) ?? composeProblem(app.spec.compose);
}

function templateProblem({ spec }: App): Problem | undefined {
  try {
    checkTemplates(spec);
    return undefined;
  } catch (error) {
    if (!(error instanceof TerminalError)) throw error;
    return { reason: error.reason, message: describeError(error) };
  }
}

/** Only what no compose file may be; what a platform cannot do of it, its driver says. */
function composeProblem(compose: string | undefined): Problem | undefined {
  if (compose === undefined) return undefined;
  const invalid = (why: string): Problem => ({
    reason: appReasons.InvalidCompose,
    message: `spec.compose: ${why}.`,
  });
  // Templates are no YAML where they stand alone.
  const text = compose.replace(/\{\{[^{}]*\}\}/g, '1');
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 100 });
  } catch (error) {
    return invalid(`it is no YAML: ${(error as Error).message.split('\n')[0]?.replace(/:$/, '')}`);
  }
  const services = (document as { services?: unknown } | null)?.services;
  if (typeof services !== 'object' || services === null || Object.keys(services).length === 0)
    return invalid('it has no services');
  return undefined;
}
