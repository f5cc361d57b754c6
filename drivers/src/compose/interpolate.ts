/**
 * `${NAME}` in compose files, as `docker stack deploy` fills it, with `:+` and `+` of the Compose
 * specification besides.
 *
 * Guarantees: one pass, so a value that holds a `$` is never filled again; whether a secret went in is told.
 * Assumption: `$NAME-x` without braces counts as a default, because the command-line tool reads it so.
 */
export interface Variables {
  /** `undefined` for a variable that is not set. */
  lookup(name: string): string | undefined;
  isSecret(name: string): boolean;
}

export interface Interpolated {
  readonly text: string;
  readonly changed: boolean;
  /** Variables that are not set and have no default. */
  readonly missing: readonly string[];
  readonly hasSecret: boolean;
  /** Names read with a default though they are not in braces. */
  readonly unbraced: readonly string[];
}

export type Interpolation = Interpolated | { readonly error: string };

const pattern =
  /\$(?:(\$)|([_a-zA-Z][_a-zA-Z0-9]*(?::?[-?][^}]*)?)|\{([_a-zA-Z][_a-zA-Z0-9]*(?::?[-?+][^}]*)?)\}|)/g;

export function interpolate(template: string, variables: Variables): Interpolation {
  if (!template.includes('$'))
    return { text: template, changed: false, missing: [], hasSecret: false, unbraced: [] };
  const state = new State(variables);
  const text = template.replace(pattern, (_, dollar?: string, named?: string, braced?: string) => {
    if (dollar) return '$';
    const expression = named ?? braced;
    if (expression === undefined) {
      state.error ??=
        'a lone `$` names no variable; write `$$` for a dollar sign, `${NAME}` for a variable';
      return '';
    }
    if (named !== undefined && /[-?]/.test(named)) state.unbraced.push(nameOf(named));
    return state.fill(expression);
  });
  if (state.error !== undefined) return { error: state.error };
  const { missing, hasSecret, unbraced } = state;
  return { text, changed: text !== template, missing, hasSecret, unbraced };
}

class State {
  readonly #variables: Variables;
  readonly missing: string[] = [];
  readonly unbraced: string[] = [];
  hasSecret = false;
  error: string | undefined;

  constructor(variables: Variables) {
    this.#variables = variables;
  }

  fill(expression: string): string {
    const name = nameOf(expression);
    const rest = expression.slice(name.length);
    const operator = rest.startsWith(':') ? rest.slice(0, 2) : rest.slice(0, 1);
    const argument = rest.slice(operator.length);
    const value = this.#variables.lookup(name);
    const isThere = operator.startsWith(':')
      ? value !== undefined && value !== ''
      : value !== undefined;
    switch (operator) {
      case ':-':
      case '-':
        return isThere ? this.#use(name, value) : argument;
      case ':+':
      case '+':
        return isThere ? argument : '';
      case ':?':
      case '?':
        if (isThere) return this.#use(name, value);
        this.error ??= `the variable ${name} is required${argument ? `: ${argument}` : ''}; set it in the App's env`;
        return '';
      default:
        if (value === undefined) this.missing.push(name);
        return this.#use(name, value);
    }
  }

  #use(name: string, value: string | undefined): string {
    if (value !== undefined && this.#variables.isSecret(name)) this.hasSecret = true;
    return value ?? '';
  }
}

function nameOf(expression: string): string {
  return /^[_a-zA-Z0-9]*/.exec(expression)?.[0] ?? '';
}
