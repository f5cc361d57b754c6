/**
 * What was asked and what platforms did, and whether the second follows from the first.
 *
 * Guarantees: pure but for reading the platforms' journals; a violation names the instance, the site and what
 * was wrong. Rules: at a site the sequences of an instance only rise, also over a removal (no plan is carried
 * out twice, none after a newer one); a sequence is carried out at one site only; what an instance is made of
 * changes only with its wish or its App's round, and never back; a task that runs is started again only when
 * the bed lost it; an instance comes to a site no more often than that was asked for.
 */
import { join } from 'node:path';
import type { FakeInstance } from '@cloudlet/drivers/fake';
import { type PlatformRecord, readPlatformJournal } from '../scale/platform-journal.ts';
import type { Place } from './wishes.ts';

/** What the bed asked of one instance, by the id of its plans. */
export interface Asked {
  readonly name: string;
  /** Places in the order in which they were asked for. */
  readonly places: Place[];
}

/** A line of the run. */
export interface Entry {
  readonly at: number;
  readonly text: string;
  /** Names and ids that it is about; none: about all. */
  readonly about?: readonly string[];
}

export interface Content {
  readonly wish: number;
  readonly round: number;
}

/** What of an instance at a site is remembered. */
interface Track {
  last: FakeInstance | undefined;
  highest: number;
  episodes: number;
  content: Content;
}

export class History {
  readonly entries: Entry[] = [];
  readonly asked = new Map<string, Asked>();
  /** Drains so far: each may move the instances of a zone. */
  drains = 0;
  /** Restores of the region so far: each may bring an instance back to where it was. */
  restores = 0;
  /** Tasks that a fault lost, by id. */
  readonly lost = new Map<string, number>();
  readonly violations: string[] = [];
  /** What runs, by site and id. */
  readonly platforms = new Map<string, Map<string, FakeInstance>>();
  carriedOut = 0;
  readonly #folder: string;
  readonly #read = new Map<string, number>();
  readonly #tracks = new Map<string, Track>();
  /** Site that carried out a sequence, by id and sequence. */
  readonly #carriers = new Map<string, string>();
  readonly #restarts = new Map<string, number>();

  constructor(folder: string, sites: readonly string[]) {
    this.#folder = folder;
    for (const site of sites) this.platforms.set(site, new Map());
  }

  note(at: number, text: string, ...about: readonly string[]): void {
    this.entries.push({ at, text, about });
  }

  ask(id: string, name: string, place: Place): void {
    const known = this.asked.get(id) ?? { name, places: [] };
    this.asked.set(id, known);
    if (placeText(known.places.at(-1)) !== placeText(place)) known.places.push(place);
  }

  /** From now on what the region knew at an earlier time counts as news. */
  restored(): void {
    this.restores++;
    this.#carriers.clear();
    for (const track of this.#tracks.values()) {
      track.content = { wish: 0, round: 0 };
      // A site that was told to forget an instance does not know its plans any more.
      if (!track.last) track.highest = 0;
    }
  }

  /** Reads what platforms did since the last call. */
  read(): void {
    for (const [site, instances] of this.platforms) {
      const file = join(this.#folder, `${site}.jsonl`);
      const { records, length } = readPlatformJournal(file, this.#read.get(site));
      this.#read.set(site, length);
      for (const record of records) {
        this.take(site, record);
        if (record.instance) instances.set(record.id, record.instance);
        else instances.delete(record.id);
      }
    }
  }

  /** Judges one change of a platform. */
  take(site: string, { at, id, instance }: PlatformRecord): void {
    const key = `${site} ${id}`;
    const track = this.#tracks.get(key) ?? {
      ...{ last: undefined, highest: 0, episodes: 0, content: { wish: 0, round: 0 } },
    };
    this.#tracks.set(key, track);
    const { last } = track;
    this.entries.push({ at, text: `${site}: ${instanceText(instance)}`, about: [id] });
    track.last = instance;
    if (!instance) return;
    if (!last) track.episodes++;
    if (instance.sequence > 0 && instance.sequence !== last?.sequence)
      this.#carried(site, id, track, instance);
    if (last) this.#compare(site, id, last, instance);
  }

  /** What can be said when all that was asked is through. */
  judge(): readonly string[] {
    for (const [key, { episodes }] of this.#tracks) {
      const [site = '', id = ''] = key.split(' ');
      const most = this.#arrivals(id, site);
      if (episodes > most)
        this.wrong(site, id, `came to the site ${episodes} times, asked for at most ${most} times`);
    }
    return this.violations;
  }

  /** The last lines about an instance and about all. */
  lines(about: readonly string[], count = 40): readonly string[] {
    return this.entries
      .filter((entry) => !entry.about?.length || entry.about.some((one) => about.includes(one)))
      .sort((one, other) => one.at - other.at)
      .slice(-count)
      .map(({ at, text }) => `${(at / 1_000).toFixed(3)} ${text}`);
  }

  #carried(site: string, id: string, track: Track, instance: FakeInstance): void {
    const { sequence } = instance;
    this.carriedOut++;
    if (sequence <= track.highest)
      this.wrong(site, id, `plan ${sequence} was carried out after ${track.highest}`);
    track.highest = Math.max(track.highest, sequence);
    const carrier = this.#carriers.get(`${id} ${sequence}`);
    if (carrier !== undefined && carrier !== site)
      this.wrong(site, id, `plan ${sequence} was carried out at ${carrier} too`);
    this.#carriers.set(`${id} ${sequence}`, site);
    const content = contentOf(instance);
    if (content.wish < track.content.wish || content.round < track.content.round)
      this.wrong(
        ...([site, id] as const),
        `went back from ${JSON.stringify(track.content)} to ${JSON.stringify(content)}`,
      );
    track.content = content;
  }

  #compare(site: string, id: string, last: FakeInstance, now: FakeInstance): void {
    if (last.content !== now.content && last.content !== '') {
      const [before, after] = [contentOf(last), contentOf(now)];
      if (before.wish === after.wish && before.round === after.round)
        this.wrong(site, id, `was made anew although nobody changed it: ${now.content}`);
      return;
    }
    for (const task of now.tasks) {
      const before = last.tasks.find(({ name }) => name === task.name);
      if (before?.state !== 'running' || task.state === 'running') continue;
      const restarts = (this.#restarts.get(id) ?? 0) + 1;
      this.#restarts.set(id, restarts);
      if (restarts > (this.lost.get(id) ?? 0))
        this.wrong(site, id, `${task.name} was started again and no fault had lost it`);
    }
  }

  #arrivals(id: string, site: string): number {
    const places = this.asked.get(id)?.places ?? [];
    const named = places.filter((place) => place !== 'zone' && place.site === site).length;
    // A restore brings it where it was, and asking again where it should be.
    return named + 2 * this.restores + (places.includes('zone') ? 1 + this.drains : 0);
  }

  wrong(site: string, id: string, what: string): void {
    const name = this.asked.get(id)?.name ?? 'an instance that nobody asked for';
    this.violations.push(`${name} (${id}) at ${site}: ${what}`);
  }
}

export const placeText = (place: Place | undefined): string =>
  place === undefined || place === 'zone' ? String(place) : place.site;

/** The wish and the round that an instance was made of, from its environment. */
export function contentOf({ content }: Pick<FakeInstance, 'content'>): Content {
  if (content === '') return { wish: 0, round: 0 };
  const [, env] = JSON.parse(content) as [unknown, Readonly<Record<string, string>> | undefined];
  return { wish: Number(env?.['WISH'] ?? 0), round: Number(env?.['ROUND'] ?? 0) };
}

function instanceText(instance: FakeInstance | undefined): string {
  if (!instance) return 'gone';
  const { sequence, replicas, poweredOff, tasks } = instance;
  const { wish, round } = contentOf(instance);
  const states = tasks.map(({ name, state }) => `${name.split('_').at(-1)} ${state}`).join(', ');
  return `plan ${sequence}, wish ${wish}, round ${round}, ${poweredOff ? 'off' : `${replicas} replicas`} [${states}]`;
}
