/** kubectl against one kubeconfig: arguments in, standard output out. */
import { type CommandOptions, runCommand } from '@cloudlet/runtime/base';

export interface KubectlOptions extends CommandOptions {
  /** Impersonates this user. */
  readonly as?: string;
  /** Groups of the impersonated user. */
  readonly asGroups?: readonly string[];
}

export type Kubectl = (args: readonly string[], options?: KubectlOptions) => Promise<string>;

/** @returns a function that runs kubectl and throws with what it said when it fails. */
export function kubectlOf(binary: string, kubeconfig: string): Kubectl {
  return async (args, options = {}) => {
    const { as, asGroups = [], ...rest } = options;
    const identity = [
      ...(as ? ['--as', as] : []),
      ...asGroups.flatMap((name) => ['--as-group', name]),
    ];
    const { stdout } = await runCommand(binary, [...args, ...identity], {
      timeoutMs: 60_000,
      ...rest,
      // By environment, so that messages start with the verb.
      env: { ...rest.env, KUBECONFIG: kubeconfig },
    });
    return stdout;
  };
}
