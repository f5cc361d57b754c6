/**
 * Plans rendered before, by what they were made of: a report changes an AppInst's status ten times for each
 * change of its plan, and several members of a site get the same one.
 *
 * Guarantees: gives what `renderPlan` would; holds one plan an instance, and forgets it with the instance.
 */
import { annotations, type AppInst, type Plan } from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import { type RenderInput, renderPlan } from '../plan/render.ts';

interface Rendered {
  readonly plan: Plan;
  readonly hash: string;
}

export class RenderCache {
  readonly #rendered = new Map<string, { readonly key: string; readonly value: Rendered }>();

  render(input: RenderInput): Rendered {
    const { uid } = input.appInst.metadata;
    const key = keyOf(input.appInst);
    const known = this.#rendered.get(uid);
    if (known?.key === key) return known.value;
    const plan = renderPlan(input);
    const value = { plan, hash: contentHash(plan) };
    this.#rendered.set(uid, { key, value });
    return value;
  }

  forget(uid: string): void {
    this.#rendered.delete(uid);
  }
}

/** Revision and secrets are immutable, so their names in `rollout` stand for them. */
function keyOf({ metadata, status }: AppInst): string {
  const { placement, ports, rollout } = status ?? {};
  const adopt = metadata.annotations?.[annotations.adoptStack];
  return JSON.stringify([metadata.generation, placement, ports, rollout, adopt]);
}
