/**
 * What goes into a support bundle, read with the caller's own rights.
 *
 * Guarantees: everything passes `redact.ts`; Secrets are never read for it; what may not be read or does not
 * answer is named in `not-read.txt` and fails nothing; each file is bounded.
 */
import { namespaces } from '@cloudlet/crds';
import { describeError } from '@cloudlet/runtime/base';
import { coreTypes, type KubernetesClient, type ResourceType } from '@cloudlet/runtime/kubernetes';
import { examineRegion } from '../doctor/examine.ts';
import { diagnosisJson, diagnosisText } from '../doctor/text.ts';
import type { Pod, RegionView } from '../doctor/view.ts';
import { isOurs, listEvents } from '../events.ts';
import { redacted, scrubbed } from './redact.ts';

export interface BundleFile {
  readonly path: string;
  readonly text: string;
}

export interface CollectOptions {
  readonly client: KubernetesClient;
  readonly view: RegionView;
  readonly pluginVersion: string;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

const mostBytes = 8 * 1024 * 1024;
const logLines = 5_000;

export async function collectBundle(options: CollectOptions): Promise<readonly BundleFile[]> {
  const collector = new Collector(options);
  await collector.objects();
  await collector.region();
  await collector.pods();
  return collector.finish();
}

class Collector {
  readonly #options: CollectOptions;
  readonly #files: BundleFile[] = [];
  readonly #missing: string[];

  constructor(options: CollectOptions) {
    this.#options = options;
    this.#missing = options.view.denied.map((what) => `${what}: not allowed`);
  }

  /** Our kinds, as the doctor saw them. */
  async objects(): Promise<void> {
    const { client, view, namespace, signal } = this.#options;
    for (const [kind, items] of Object.entries(view.objects))
      this.#json(`objects/${kind}.json`, items);
    await this.#try('events', async () => {
      const { items } = await listEvents(client, undefined, namespace, signal);
      this.#json(
        'events.json',
        items.filter((event) => isOurs(event) || event.regarding?.namespace === namespaces.system),
      );
    });
  }

  async region(): Promise<void> {
    const { client, view, pluginVersion, signal } = this.#options;
    const { now, denied } = view;
    const diagnosis = { results: examineRegion(view), now, denied };
    this.#text('doctor.txt', diagnosisText(diagnosis));
    this.#text('doctor.json', diagnosisJson(diagnosis));
    if (view.leases) this.#json('leases.json', view.leases);
    if (view.apiService) this.#json('apiservice.json', view.apiService);
    if (view.crds)
      this.#json(
        'crds.json',
        [...view.crds.values()].map(({ metadata, spec, status }) => ({
          name: metadata.name,
          versions: spec.versions.map(({ name, served }) => ({ name, served })),
          status,
        })),
      );
    const installed = [...view.installed].map(([kind, names]) => [kind, [...names].sort()]);
    this.#json('installed.json', Object.fromEntries(installed));
    await this.#try('the version of the API server', async () => {
      const server = await client.request('GET', '/version', { signal });
      this.#json('versions.json', { plugin: pluginVersion, server });
    });
    for (const type of [coreTypes.deployments, coreTypes.services]) await this.#list(type);
  }

  /** State, logs and metrics of the region's pods; none where processes run beside the API server. */
  async pods(): Promise<void> {
    const { client, view, signal } = this.#options;
    if (!view.pods) return;
    this.#json('pods.json', view.pods);
    for (const pod of view.pods) {
      const { name } = pod.metadata;
      const path = `/api/v1/namespaces/${namespaces.system}/pods/${encodeURIComponent(name)}`;
      const query = `tailLines=${logLines}&limitBytes=${mostBytes}`;
      const hasRestarted = pod.status?.containerStatuses?.some((each) => each.restartCount > 0);
      for (const previous of hasRestarted ? [false, true] : [false])
        await this.#try(`log of ${name}${previous ? ', previous' : ''}`, async () => {
          const log = await client.request('GET', `${path}/log?${query}&previous=${previous}`, {
            signal,
          });
          this.#text(`logs/${name}${previous ? '.previous' : ''}.log`, textOf(log));
        });
      const port = metricsPortOf(pod);
      if (port === undefined) continue;
      await this.#try(`metrics of ${name}`, async () => {
        const metrics = await client.request('GET', `${path}:${port}/proxy/metrics`, { signal });
        this.#text(`metrics/${name}.txt`, textOf(metrics));
      });
    }
  }

  finish(): readonly BundleFile[] {
    this.#text('not-read.txt', this.#missing.map((line) => `${line}\n`).join(''));
    this.#text('README.txt', readme);
    return this.#files;
  }

  async #list(type: ResourceType): Promise<void> {
    const { client, signal } = this.#options;
    await this.#try(`list ${type.plural} in ${namespaces.system}`, async () => {
      const list = client.resource(type).list({ namespace: namespaces.system, signal });
      this.#json(`${type.plural}.json`, (await list).items);
    });
  }

  async #try(what: string, read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      this.#options.signal.throwIfAborted();
      this.#missing.push(scrubbed(`${what}: ${describeError(error)}`));
    }
  }

  #json(path: string, value: unknown): void {
    this.#text(path, JSON.stringify(redacted(value), undefined, 1) + '\n');
  }

  #text(path: string, text: string): void {
    const clean = scrubbed(text);
    const cut = clean.length > mostBytes ? `${clean.slice(0, mostBytes)}\n(cut)\n` : clean;
    this.#files.push({ path, text: cut });
  }
}

/** By the name that the chart gives it: the parts of a region have different ones. */
const metricsPortOf = ({ spec }: Pod): number | undefined =>
  spec?.containers.flatMap(({ ports = [] }) => ports).find(({ name }) => name === 'metrics')
    ?.containerPort;

const textOf = (answer: unknown): string =>
  typeof answer === 'string' ? answer : JSON.stringify(answer);

const readme = `A support bundle of a Cloudlet region.

doctor.txt      what is wrong and what to do; doctor.json holds the same for programs
objects/        the kinds of the region; of Apps and AppInsts without values of variables, files, compose
                files, manifests and arguments
events.json, leases.json, pods.json, deployments.json, services.json, installed.json, crds.json
logs/, metrics/ of the region's pods
versions.json   of the plugin and of the API server
not-read.txt    what the caller may not read, or what did not answer

*** stands for what was left out. No Secret was read for it but the two certificates that the doctor looks at,
of which only the dates were kept. Look through it before you hand it on.
`;
