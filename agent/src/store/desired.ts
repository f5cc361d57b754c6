/**
 * What the region wants of this site, on disk: for each instance a plan or an order to remove it.
 *
 * Guarantees: a change is on disk when its call resolves and only then visible in `records`; an instance's
 * sequence never goes back; an order to remove wins over a plan of the same sequence. A plan with a feature
 * that this agent does not know leaves the plan before it in force and is remembered as refused.
 * Refuses to guess: what cannot be read is reported by `complete`, never taken for "nothing".
 */
import { join } from 'node:path';
import { z } from 'zod';
import { instanceId, plan, type Plan, removal, type Removal } from '@cloudlet/crds';
import type { Have, PlanHead } from '@cloudlet/tunnel/agent';
import { canonicalJson, type Logger } from '@cloudlet/runtime/base';
import { type Disk, systemDisk } from './disk.ts';
import { Documents } from './documents.ts';
import { Serial } from './serial.ts';

const instanceRecord = z.object({
  id: instanceId,
  /** Version of the agent that read the plan: another may know fields that this one dropped. */
  agent: z.string().max(64),
  /** Hash of the plan as the hub sent it. */
  hash: z.string().max(64),
  plan: plan.optional(),
  removal: removal.optional(),
  /** The removal was carried out; the record waits for the region to take note. */
  removed: z.boolean().optional(),
  refused: z
    .object({
      sequence: z.int(),
      features: z.array(z.string()),
      object: plan.shape.object,
    })
    .optional(),
  /** The region does not know the instance: it keeps running and nothing is done to it. */
  orphan: z.boolean().optional(),
  /**
   * It took the place of another plan of the same sequence, as a restored region may give it, and was not carried
   * out yet: what is there is the other one's.
   */
  displaces: z.boolean().optional(),
  /** Which revision a sequence was of, for the last few. */
  revisions: z.array(z.object({ sequence: z.int(), revision: z.string() })).max(8),
});
export type InstanceRecord = z.infer<typeof instanceRecord>;

export interface DesiredOptions {
  readonly folder: string;
  readonly agentVersion: string;
  readonly features: readonly string[];
  readonly logger: Logger;
  readonly disk?: Disk;
}

export type PlanVerdict = 'Accepted' | 'Stale' | 'Refused';

export class DesiredStore {
  readonly #documents: Documents;
  readonly #options: DesiredOptions;
  /** Read, decide and write are one step for an instance. */
  readonly #serial = new Serial();
  readonly #records = new Map<string, InstanceRecord>();

  private constructor(options: DesiredOptions) {
    this.#options = options;
    this.#documents = new Documents(
      join(options.folder, 'instances'),
      options.disk ?? systemDisk,
      options.logger,
    );
  }

  static async open(options: DesiredOptions): Promise<DesiredStore> {
    const store = new DesiredStore(options);
    await store.#documents.open((_, text) => {
      const record = instanceRecord.parse(JSON.parse(text));
      store.#records.set(record.id, record);
    });
    return store;
  }

  get records(): ReadonlyMap<string, InstanceRecord> {
    return this.#records;
  }

  /** Whether everything that was acknowledged could be read. */
  get intact(): boolean {
    return this.#documents.intact;
  }

  /** The plans in force, for the load balancer: what is being removed is not served any more. */
  plans(): readonly Plan[] {
    return [...this.#records.values()].flatMap((record) =>
      record.plan && !record.removal ? [record.plan] : [],
    );
  }

  /** What the agent tells the hub it has. A plan that another version read has no hash: it comes anew. */
  have(): readonly Have[] {
    return [...this.#records.values()].map((record) => ({
      id: record.id,
      sequence: sequenceOf(record),
      hash: record.agent === this.#options.agentVersion ? record.hash : '',
      ...(record.removed ? { removed: true } : {}),
    }));
  }

  putPlan(wanted: Plan, hash: string): Promise<PlanVerdict> {
    return this.#serial.run(wanted.id, async () => {
      const before = this.#records.get(wanted.id);
      if (before && isStale(before, wanted)) return 'Stale';
      const unknown = this.#unknownTo(wanted);
      if (unknown.length > 0) await this.#put(this.#refused(before, wanted, unknown));
      else await this.#put(this.#accepted(before, wanted, hash));
      return unknown.length > 0 ? 'Refused' : 'Accepted';
    });
  }

  /** A plan with values that only a newer agent knows, whether or not it names the feature. */
  putUnreadable(head: PlanHead): Promise<PlanVerdict> {
    return this.#serial.run(head.id, async () => {
      const before = this.#records.get(head.id);
      if (before && isStale(before, head)) return 'Stale';
      const unknown = this.#unknownTo(head);
      const features = unknown.length > 0 ? unknown : ['all that this plan asks for'];
      await this.#put(this.#refused(before, head, features));
      return 'Refused';
    });
  }

  #unknownTo({ requires = [] }: PlanHead): readonly string[] {
    return requires.filter((feature) => !this.#options.features.includes(feature));
  }

  #accepted(before: InstanceRecord | undefined, wanted: Plan, hash: string): InstanceRecord {
    const { sequence, app } = wanted;
    const others = before?.revisions.filter((known) => known.sequence !== sequence) ?? [];
    const revisions = [...others, { sequence, revision: app.revision }].slice(-8);
    const agent = this.#options.agentVersion;
    const displaces = displacesOf(before, wanted);
    return { id: wanted.id, agent, hash, plan: wanted, ...displaces, revisions };
  }

  #refused(
    before: InstanceRecord | undefined,
    wanted: PlanHead,
    features: readonly string[],
  ): InstanceRecord {
    const { id, sequence, object } = wanted;
    const kept = before && !before.removal ? before : undefined;
    const empty = { id, agent: this.#options.agentVersion, hash: '', revisions: [] };
    return { ...(kept ?? empty), refused: { sequence, features: [...features], object } };
  }

  /** @returns whether the order is new enough to be followed. */
  putRemoval(order: Removal): Promise<boolean> {
    return this.#serial.run(order.id, async () => {
      const before = this.#records.get(order.id);
      if (before && order.sequence < sequenceOf(before)) return false;
      if (before?.removal?.sequence === order.sequence) return true;
      await this.#put({
        id: order.id,
        agent: this.#options.agentVersion,
        hash: '',
        // The plan stays: it says which object the removal is to be reported of.
        ...(before?.plan ? { plan: before.plan } : {}),
        removal: order,
        revisions: before?.revisions ?? [],
      });
      return true;
    });
  }

  /** Notes that the removal was carried out, unless another order came in between. */
  markRemoved(id: string, sequence: number): Promise<void> {
    return this.#serial.run(id, async () => {
      const record = this.#records.get(id);
      if (record?.removal?.sequence === sequence && !record.removed)
        await this.#put({ ...record, removed: true });
    });
  }

  /** Notes that the plan was carried out, unless another came in between. */
  markCarriedOut(id: string, carriedOut: Plan): Promise<void> {
    return this.#serial.run(id, async () => {
      const record = this.#records.get(id);
      if (!record?.displaces || record.plan !== carriedOut) return;
      const { displaces: _, ...rest } = record;
      await this.#put(rest);
    });
  }

  /** What is being removed is no orphan, whatever the region knows of it: its end is still to be told. */
  markOrphan(id: string, isUnknown: boolean): Promise<void> {
    return this.#serial.run(id, async () => {
      const record = this.#records.get(id);
      const orphan = isUnknown && !record?.removal;
      if (!record || (record.orphan ?? false) === orphan) return;
      const { orphan: _, ...rest } = record;
      await this.#put(orphan ? { ...rest, orphan } : rest);
    });
  }

  /** Forgets an instance whose removal is on record, or that nobody wants and that is not there. */
  forget(id: string): Promise<void> {
    return this.#serial.run(id, async () => {
      if (!this.#records.has(id)) return;
      await this.#documents.remove(id);
      this.#records.delete(id);
    });
  }

  /** Settles when no change is under way. */
  idle(): Promise<void> {
    return this.#serial.idle();
  }

  async #put(record: InstanceRecord): Promise<void> {
    await this.#documents.write(record.id, JSON.stringify(record));
    this.#records.set(record.id, record);
  }
}

export const sequenceOf = (record: InstanceRecord): number =>
  record.removal?.sequence ?? record.plan?.sequence ?? 0;

/** Two plans of one sequence are one where they say the same, whatever hash they travelled under. */
function displacesOf(
  before: InstanceRecord | undefined,
  wanted: Plan,
): Pick<InstanceRecord, 'displaces'> {
  if (before?.plan?.sequence !== wanted.sequence) return {};
  const isOther = canonicalJson(before.plan) !== canonicalJson(wanted);
  return isOther || before.displaces ? { displaces: true } : {};
}

function isStale(before: InstanceRecord, wanted: Pick<Plan, 'sequence'>): boolean {
  const known = sequenceOf(before);
  return before.removal ? wanted.sequence <= known : wanted.sequence < known;
}
