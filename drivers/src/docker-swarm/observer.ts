/**
 * Observations of a swarm: a look at all of it whenever something may have changed, told as differences.
 *
 * Guarantees: begins with a snapshot and gives a full one every 60 s; an event of this engine (a container, a
 * service, a node) leads to a look within 100 ms; tasks of other nodes, which make no event here, are seen by
 * looking every 500 ms, so that a lost container is in the status within a second. While the swarm cannot say what there is, only
 * the site's state is told, never that instances are gone.
 */
import { canonicalJson, type Logger } from '@cloudlet/runtime/base';
import type { InstanceObservation, Observation, SiteObservation, Verdict } from '../driver.ts';
import { ObservationFeed } from '../feed.ts';
import type { Engine } from './engine.ts';
import type { EngineEvent } from './engine-types.ts';
import { observeInstances, type Backends } from './instances.ts';
import type { Leadership } from './leadership.ts';
import { jsonLines } from './json-lines.ts';
import { leaderlessSite, siteObservation } from './site.ts';
import type { NoSurvey, Survey, Surveyor } from './survey.ts';

export interface ObserverOptions {
  readonly engine: Engine;
  readonly surveyor: Surveyor;
  readonly leadership: Leadership;
  readonly logger: Logger;
  readonly addresses: readonly string[];
  /** Told of each look, before it is compared. */
  readonly onSurvey: (survey: Survey) => void;
  /** Told of each event of the engine; a look follows. */
  readonly onEvent: (event: Partial<EngineEvent>) => void;
  readonly loadBalancer: () => Verdict | undefined;
  readonly backends: (id: string) => Backends | undefined;
}

const fullEveryMs = 60_000;
const eventTypes = ['container', 'service', 'node', 'config', 'secret'];
const pollMs = 500;
/** Events come in bursts: one look serves all that come within this time. */
const burstMs = 50;

export class Observer {
  readonly #options: ObserverOptions;
  readonly #feed = new ObservationFeed();
  readonly #known = new Map<string, string>();
  #knownSite = '';
  #lastSite: SiteObservation | undefined;
  #fullAt = -Infinity;
  #wake: (() => void) | undefined;
  #isDue = true;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  async *run(signal: AbortSignal): AsyncGenerator<Observation, void> {
    const stop = new AbortController();
    const all = AbortSignal.any([signal, stop.signal]);
    const fail = (error: unknown): void => {
      if (!all.aborted) this.#feed.fail(error);
    };
    const work = [this.#look(all).catch(fail), this.#listen(all).catch(fail)];
    try {
      yield* this.#feed.read(signal);
    } finally {
      stop.abort(new Error('the observation ended'));
      await Promise.all(work);
    }
  }

  /** Looks soon, as when a load balancer's backend changed. */
  poke(): void {
    this.#isDue = true;
    this.#wake?.();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { surveyor, engine } = this.#options;
    while (!signal.aborted) {
      this.#isDue = false;
      const survey = await surveyor.look(signal);
      if (survey.kind === 'Survey') await this.#tell(survey);
      else await this.#tellProblem(survey);
      await this.#pause(pollMs, signal);
      if (this.#isDue) await engine.clock.sleep(burstMs, signal);
    }
  }

  async #tell(survey: Survey): Promise<void> {
    const { engine, leadership, addresses, loadBalancer, backends, onSurvey } = this.#options;
    onSurvey(survey);
    const verdict = loadBalancer();
    const site = siteObservation({
      ...survey,
      addresses,
      ...(verdict ? { loadBalancer: verdict } : {}),
    });
    await leadership.saw(site.leads);
    this.#lastSite = site;
    const now = engine.clock.now();
    const instances = observeInstances({ ...survey, now }, backends);
    const isFull = engine.clock.monotonic() - this.#fullAt >= fullEveryMs;
    if (isFull) this.#tellAll(site, instances);
    else this.#tellChanges(site, instances);
  }

  #tellAll(site: SiteObservation, instances: ReadonlyMap<string, InstanceObservation>): void {
    this.#fullAt = this.#options.engine.clock.monotonic();
    this.#options.surveyor.forget();
    this.#knownSite = canonicalJson(site);
    this.#known.clear();
    for (const [id, instance] of instances) this.#known.set(id, canonicalJson(instance));
    this.#feed.offer({ kind: 'Snapshot', site, instances: [...instances.values()] });
  }

  #tellChanges(site: SiteObservation, instances: ReadonlyMap<string, InstanceObservation>): void {
    this.#tellSite(site);
    for (const [id, instance] of instances) {
      const text = canonicalJson(instance);
      if (this.#known.get(id) === text) continue;
      this.#known.set(id, text);
      this.#feed.offer({ kind: 'Instance', instance });
    }
    for (const id of this.#known.keys()) {
      if (instances.has(id)) continue;
      this.#known.delete(id);
      this.#feed.offer({ kind: 'Gone', id });
    }
  }

  async #tellProblem({ reason, message }: NoSurvey): Promise<void> {
    const leads = await this.#options.leadership.ledLast();
    this.#tellSite(leaderlessSite(this.#lastSite, leads, { reason, message }));
    // What comes after may be anything: it begins with all of it.
    this.#fullAt = -Infinity;
  }

  #tellSite(site: SiteObservation): void {
    const text = canonicalJson(site);
    if (text === this.#knownSite) return;
    this.#knownSite = text;
    this.#feed.offer({ kind: 'Site', site });
  }

  /** Waits for an event or the time of the next look. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isDue) return;
    const nap = new AbortController();
    this.#wake = () => nap.abort(woken);
    try {
      await this.#options.engine.clock.sleep(ms, AbortSignal.any([signal, nap.signal]));
    } catch (error) {
      if (error !== woken) throw error;
    } finally {
      this.#wake = undefined;
    }
  }

  /** Reads the engine's events for as long as it sends them; a broken stream is opened again. */
  async #listen(signal: AbortSignal): Promise<void> {
    const { engine, logger, onEvent } = this.#options;
    while (!signal.aborted) {
      try {
        const stream = await engine.stream('follow events', signal, (docker, call) =>
          docker.getEvents({ ...call, filters: { type: eventTypes } }),
        );
        for await (const event of jsonLines(stream)) {
          onEvent(event as Partial<EngineEvent>);
          if (isRelevant(event)) this.poke();
        }
      } catch (error) {
        signal.throwIfAborted();
        logger.debug('the stream of events broke', { error });
      }
      this.poke();
      await engine.clock.sleep(pollMs, signal);
    }
  }
}

const woken = new Error('woken');

/** An exec in a container changes nothing of it. */
function isRelevant(event: unknown): boolean {
  const action = (event as Partial<EngineEvent>).Action ?? '';
  return !action.startsWith('exec_');
}
