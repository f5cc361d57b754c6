/**
 * What Argo CD said of every Application and every resource in it, ever: each change, in order.
 *
 * Guarantees: from a watch, so that no state that was written is missed; a story asks for what was said since
 * it began.
 */
import { createInformer, type Informer, type KubernetesClient } from '@cloudlet/runtime/kubernetes';
import type { KubernetesObject } from '@cloudlet/runtime/kubernetes';
import { argoNamespace } from '../testbed/argocd/argocd.ts';

export interface ResourceState {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly status?: string;
  readonly health?: { readonly status?: string; readonly message?: string };
}

export interface Application extends KubernetesObject {
  readonly status?: {
    readonly sync?: { readonly status?: string; readonly revision?: string };
    readonly health?: { readonly status?: string };
    readonly resources?: readonly ResourceState[];
    readonly conditions?: readonly { readonly type: string; readonly message: string }[];
    readonly operationState?: {
      readonly phase?: string;
      readonly message?: string;
      readonly syncResult?: { readonly revision?: string };
    };
  };
}

/** One thing that was said: of the Application itself, or of `Kind name` in it. */
export interface Said {
  readonly application: string;
  readonly what: string;
  readonly health: string;
  readonly message: string;
}

const applicationType = {
  group: 'argoproj.io',
  version: 'v1alpha1',
  plural: 'applications',
  kind: 'Application',
  namespaced: true,
};

export class HealthHistory implements AsyncDisposable {
  readonly #informer: Informer<Application>;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #said: Said[] = [];
  readonly #last = new Map<string, string>();

  private constructor(client: KubernetesClient) {
    this.#informer = createInformer<Application>(client, applicationType);
    this.#informer.subscribe((event) => {
      if (event.type !== 'Deleted') this.#note(event.object);
    });
    this.#running = this.#informer.run(this.#stop.signal);
  }

  static async open(client: KubernetesClient): Promise<HealthHistory> {
    const history = new HealthHistory(client);
    await history.#informer.synced();
    return history;
  }

  #note({ metadata, status }: Application): void {
    const note = (what: string, health: ResourceState['health']): void => {
      const key = `${metadata.name} ${what}`;
      const said = `${health?.status} ${health?.message}`;
      if (health?.status === undefined || this.#last.get(key) === said) return;
      this.#last.set(key, said);
      this.#said.push({
        application: metadata.name,
        what,
        health: health.status,
        message: health.message ?? '',
      });
    };
    note('Application', status?.health);
    for (const { kind, name, health } of status?.resources ?? []) note(`${kind} ${name}`, health);
  }

  /** A place in the history, for `since`. */
  get now(): number {
    return this.#said.length;
  }

  since(place: number): readonly Said[] {
    return this.#said.slice(place);
  }

  application(name: string): Application | undefined {
    return this.#informer.cache.get(`${argoNamespace}/${name}`);
  }

  get applications(): readonly Application[] {
    return this.#informer.cache.list();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the stories are over'));
    await this.#running;
  }
}
