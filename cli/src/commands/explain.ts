/**
 * explain: where an AppInst would go and why not elsewhere, before it is applied.
 *
 * Guarantees: judges by the operator's own filters and scores, from the objects as they are now; what the
 * file holds wins over what the region has; changes nothing.
 */
import {
  annotations,
  type App,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  type Cluster,
  type Flavor,
  groupVersion,
} from '@cloudlet/crds';
import {
  describeError,
  ForbiddenError,
  NotFoundError,
  TerminalError,
} from '@cloudlet/runtime/base';
import {
  explainAppInst,
  type OurKinds,
  renderPlan,
  resourceTypes,
  type SiteExplanation,
} from '@cloudlet/operator';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { parseAllDocuments } from 'yaml';
import type { Command } from '../command.ts';
import { readText } from '../read-text.ts';
import { formatTable } from '../terminal.ts';

/** What the file holds: objects without what the API server adds. */
type Draft = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

export const explainCommand: Command = {
  name: 'explain',
  usage: 'explain -f FILE',
  summary: 'Say for each AppInst of a file where it would run, and of every other site why not.',
  flags: {
    filename: {
      type: 'string',
      description: 'File with AppInsts, and Apps if need be (-f); - is standard input.',
    },
  },
  shorts: { f: 'filename' },
  examples: ['explain -f shop.yaml'],
  async run(context) {
    const { flags, terminal } = context;
    const path = flags['filename'];
    if (typeof path !== 'string') throw new TerminalError('InvalidFlags', '-f FILE is wanted');
    const drafts = draftsOf(await readText(path), path);
    const { client, namespace } = context.region();
    const world = new World(client, drafts, namespace);
    const instances = drafts.filter(({ kind }) => kind === 'AppInst');
    if (instances.length === 0)
      throw new TerminalError('NoAppInst', `${path} holds no AppInst of ${groupVersion}`);
    let fitting = 0;
    for (const draft of instances) {
      const appInst = await world.appInst(draft);
      const sites = await world.explain(appInst);
      terminal.stdout.write(explanationText(appInst, sites));
      const problem = await world.renderProblem(
        appInst,
        sites.find(({ chosen }) => chosen),
      );
      if (problem) terminal.stdout.write(`  but its plan cannot be made: ${problem}\n`);
      if (!problem && sites.some(({ chosen }) => chosen)) fitting++;
    }
    return fitting === instances.length ? 0 : 1;
  },
};

/** @throws TerminalError that names the line of what is no YAML. */
export function draftsOf(text: string, path: string): readonly Draft[] {
  const documents = parseAllDocuments(text);
  const drafts: Draft[] = [];
  for (const document of Array.isArray(documents) ? documents : []) {
    const [error] = document.errors;
    if (error) throw new TerminalError('InvalidFile', `${path}: ${error.message}`);
    const value = document.toJS() as Partial<Draft> & { apiVersion?: string };
    if (value?.apiVersion !== groupVersion || !value.kind) continue;
    if (!value.metadata?.name)
      throw new TerminalError('InvalidFile', `${path}: a ${value.kind} has no metadata.name`);
    drafts.push(value as Draft);
  }
  return drafts;
}

export function explanationText(appInst: AppInst, sites: readonly SiteExplanation[]): string {
  const { name, namespace } = appInst.metadata;
  const chosen = sites.find((site) => site.chosen);
  const head = chosen
    ? `${namespace}/${name} would run at ${chosen.cloudlet}\n`
    : `${namespace}/${name} fits no site\n`;
  if (sites.length === 0) return `${head}  there is no site in what its spec names\n`;
  const rows = sites.map(({ cloudlet, chosen: isChosen, refusals }) => [
    `  ${cloudlet}`,
    isChosen ? 'chosen' : refusals.length === 0 ? 'fits' : 'no',
    refusals.map(({ message }) => message).join('; '),
  ]);
  return head + formatTable([['  SITE', 'VERDICT', 'WHY'], ...rows]);
}

/** The region's objects, with those of the file in front. */
class World {
  readonly #client: KubernetesClient;
  readonly #drafts: readonly Draft[];
  readonly #namespace: string;

  constructor(client: KubernetesClient, drafts: readonly Draft[], namespace: string) {
    this.#client = client;
    this.#drafts = drafts;
    this.#namespace = namespace;
  }

  /** The draft with the identity of the object that is there, if one is. */
  async appInst(draft: Draft): Promise<AppInst> {
    const namespace = draft.metadata.namespace ?? this.#namespace;
    const known = await this.#find('AppInst', draft.metadata.name, namespace, false);
    const metadata = { uid: '', resourceVersion: '', generation: 1, creationTimestamp: '' };
    const made = draft as unknown as AppInst;
    return {
      ...made,
      metadata: { ...metadata, ...known?.metadata, ...made.metadata, namespace },
      ...(known?.status ? { status: known.status } : {}),
    };
  }

  async explain(appInst: AppInst): Promise<readonly SiteExplanation[]> {
    const { namespace = this.#namespace } = appInst.metadata;
    const { spec } = appInst;
    const app = await this.#need('App', spec.appRef.name, namespace);
    const flavorName = spec.flavorRef?.name ?? app.spec.defaultFlavorRef?.name;
    const cluster = spec.clusterRef
      ? await this.#need('Cluster', spec.clusterRef.name, spec.clusterRef.namespace ?? namespace)
      : undefined;
    return explainAppInst({
      appInst,
      app,
      cluster,
      flavor: flavorName === undefined ? undefined : await this.#need('Flavor', flavorName),
      cloudlets: await this.#list<Cloudlet>('Cloudlet'),
      ledgers: await this.#list<CloudletLedger>('CloudletLedger'),
      appInsts: await this.#list<AppInst>('AppInst', namespace),
    });
  }

  /** What keeps the plan from being made at that site, such as a template that nobody knows. */
  async renderProblem(
    appInst: AppInst,
    site: SiteExplanation | undefined,
  ): Promise<string | undefined> {
    if (!site) return undefined;
    const { namespace = this.#namespace, name, generation } = appInst.metadata;
    const app = await this.#need('App', appInst.spec.appRef.name, namespace);
    const revision = `${name}-draft`;
    const ports = (app.spec.ports ?? []).map((port) => ({
      ...{ name: port.name, protocol: port.protocol, port: port.port },
      ...(port.internalOnly ? {} : { publicPort: port.port }),
    }));
    try {
      renderPlan({
        appInst: {
          ...appInst,
          metadata: {
            ...appInst.metadata,
            annotations: { ...appInst.metadata.annotations, [annotations.instanceId]: 'draft' },
          },
          status: {
            placement: { cloudlet: site.cloudlet, sequence: 1 },
            ports,
            rollout: { revision, sequence: 1, generation, host: 'site.invalid' },
          },
        },
        revision: {
          metadata: { name: revision, namespace },
          data: { spec: app.spec },
          revision: 1,
        },
      });
      return undefined;
    } catch (error) {
      // Only what stays wrong: values that the operator has not pinned yet are no mistake.
      return error instanceof TerminalError ? describeError(error) : undefined;
    }
  }

  async #need<K extends keyof OurKinds>(
    kind: K,
    name: string,
    namespace?: string,
  ): Promise<OurKinds[K]> {
    const found = await this.#find(kind, name, namespace, true);
    if (found) return found;
    const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
    throw new TerminalError('NotFound', `there is no ${kind} ${name}${where}, nor in the file`);
  }

  async #find<K extends keyof OurKinds>(
    kind: K,
    name: string,
    namespace: string | undefined,
    fromFile: boolean,
  ): Promise<OurKinds[K] | undefined> {
    const draft = this.#drafts.find(
      (candidate) =>
        candidate.kind === kind &&
        candidate.metadata.name === name &&
        (namespace === undefined ||
          (candidate.metadata.namespace ?? this.#namespace) === namespace),
    );
    if (fromFile && draft) return draft as unknown as OurKinds[K];
    try {
      return await this.#client.resource<OurKinds[K]>(resourceTypes[kind]).get(name, namespace);
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  async #list<T extends Cloudlet | CloudletLedger | AppInst | App | Flavor | Cluster>(
    kind: keyof OurKinds,
    namespace?: string,
  ): Promise<readonly T[]> {
    try {
      const options = namespace === undefined ? {} : { namespace };
      return (await this.#client.resource<T>(resourceTypes[kind]).list(options)).items;
    } catch (error) {
      if (!(error instanceof ForbiddenError)) throw error;
      throw new ForbiddenError(
        `you may not list ${kind}s, so sites cannot be judged here; apply the AppInst and read its condition Placed, or ask who runs the region for the right to list them`,
        { cause: error },
      );
    }
  }
}
