/**
 * Sends reports: only while this member is active, and only on a change of meaning.
 *
 * Guarantees: an equal content is not sent twice in one spell of activity unless asked for; what is on its way to something
 * better is sent only after it lasted 5 s, so a quick roll-out costs one report; what falls from a settled state
 * without a new plan is told at once, at most every 5 s, so that a phone's loss is seen and a crash loop floods
 * nobody; `lastTransitionTime` is when the status of a condition changed, also over a restart of the agent;
 * numbers only grow in a boot.
 */
import {
  canonicalJson,
  type Clock,
  describeError,
  type Logger,
  type Timer,
} from '@cloudlet/runtime/base';
import type { Condition } from '@cloudlet/crds';
import type { InstanceReport, SiteReport } from '@cloudlet/tunnel/agent';
import type { Notes, Transitions } from '../store/index.ts';
import type { ContentVerdict, InstanceContent } from './instance-report.ts';
import type { SiteContent } from './site-report.ts';

export interface ReporterOptions {
  readonly boot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly transitions: Notes<Transitions>;
  readonly send: (report: InstanceReport) => void;
  readonly sendSite: (report: SiteReport) => void;
}

/** How long a state on the way must last to be worth a report, and how far apart falls are told at once. */
export const transitionalMs = 5000;

/** No instance id has an underscore. */
const siteKey = '_site';

export class Reporter {
  readonly #options: ReporterOptions;
  /** What was last sent, by instance id. */
  readonly #sent = new Map<string, string>();
  readonly #waiting = new Map<string, { content: InstanceContent; timer: Timer }>();
  /** The placement whose settled state was last sent, by instance id. */
  readonly #settled = new Map<string, number>();
  /** When a fall was last told, by instance id. */
  readonly #fell = new Map<string, number>();
  #sequence = 0;
  #isActive = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Reports so far. */
  get count(): number {
    return this.#sequence;
  }

  /** Another member may have reported in between: all is said anew. */
  setActive(active: boolean): void {
    if (this.#isActive === active) return;
    this.#isActive = active;
    this.#sent.clear();
    this.#settled.clear();
    this.#fell.clear();
    for (const { timer } of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  offer(content: InstanceContent): void {
    if (!this.#isActive) return;
    const waiting = this.#waiting.get(content.id);
    if (!content.isTransitional || this.#isFall(content)) {
      waiting?.timer.cancel();
      this.#waiting.delete(content.id);
      this.#send(content);
    } else if (waiting) {
      waiting.content = content;
    } else if (this.#sent.get(content.id) !== canonicalJson(content)) {
      const timer = this.#options.clock.after(transitionalMs, () => this.#lasted(content.id));
      this.#waiting.set(content.id, { content, timer });
    }
  }

  /** Whether what was settled moves, though nothing new was asked for. */
  #isFall({ id, site }: InstanceContent): boolean {
    if (this.#settled.get(id) !== site.placement) return false;
    const now = this.#options.clock.monotonic();
    if (now - (this.#fell.get(id) ?? -Infinity) < transitionalMs) return false;
    this.#fell.set(id, now);
    return true;
  }

  #lasted(id: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting) this.#send(waiting.content);
  }

  offerSite(content: SiteContent): void {
    if (!this.#isActive || !this.#isNews(siteKey, content)) return;
    const { boot, sendSite } = this.#options;
    sendSite({
      site: { ...content.site, boot, sequence: ++this.#sequence },
      conditions: this.#conditions(siteKey, content.verdicts, undefined),
    });
  }

  /** The next content is sent though it was sent before: the region has lost it. */
  repeat(id: string): void {
    this.#sent.delete(id);
  }

  /** The instance is no more. */
  forget(id: string): void {
    this.#waiting.get(id)?.timer.cancel();
    this.#waiting.delete(id);
    this.#sent.delete(id);
    this.#settled.delete(id);
    this.#fell.delete(id);
    this.#inBackground(id, this.#options.transitions.drop(id));
  }

  #send(content: InstanceContent): void {
    if (content.isTransitional) this.#settled.delete(content.id);
    else this.#settled.set(content.id, content.site.placement);
    if (!this.#isNews(content.id, content)) return;
    const { id, object, site, generation, instances, backends, warnings, progress } = content;
    this.#options.send({
      id,
      object,
      status: {
        site: { ...site, boot: this.#options.boot, sequence: ++this.#sequence },
        conditions: this.#conditions(id, content.verdicts, generation),
        ...(instances ? { instances: [...instances] } : {}),
        ...(backends ? { backends: [...backends] } : {}),
        ...(warnings ? { warnings: [...warnings] } : {}),
        ...(progress ? { progress } : {}),
      },
    });
  }

  #isNews(key: string, content: InstanceContent | SiteContent): boolean {
    const text = canonicalJson(content);
    if (this.#sent.get(key) === text) return false;
    this.#sent.set(key, text);
    return true;
  }

  #conditions(
    key: string,
    verdicts: readonly ContentVerdict[],
    generation: number | undefined,
  ): Condition[] {
    const { transitions, clock } = this.#options;
    const before = transitions.get(key) ?? {};
    const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const after: Transitions = {};
    const conditions = verdicts.map(({ type, status, reason, message }) => {
      const known = before[type];
      const since = known?.status === status ? known.since : now;
      after[type] = { status, since };
      const observed = generation === undefined ? {} : { observedGeneration: generation };
      return { type, status, ...observed, lastTransitionTime: since, reason, message };
    });
    if (canonicalJson(before) !== canonicalJson(after))
      this.#inBackground(key, transitions.put(key, after));
    return conditions;
  }

  /** A lost note costs a later time of transition, no more. */
  #inBackground(key: string, write: Promise<void>): void {
    write.catch((error: unknown) =>
      this.#options.logger.warn('cannot keep times of transition', {
        instance: key,
        error: describeError(error),
      }),
    );
  }
}
