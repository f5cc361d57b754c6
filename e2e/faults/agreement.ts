/**
 * What is wrong with a region that has had time to settle: pure.
 *
 * Checked: every instance is what was last asked for, at one site, with all its tasks; its status says the
 * same as its platform; nothing is left of what was deleted, neither at a site nor in a ledger; every site
 * is connected and Ready.
 */
import type { AppInst, Cloudlet, CloudletLedger } from '@cloudlet/crds';
import type { FakeInstance } from '@cloudlet/drivers/fake';
import { conditionOf } from '../scale/conditions.ts';
import { contentOf } from './history.ts';
import type { Wanted } from './wishes.ts';

/** An instance at a site that the region does not know there. */
export const orphanKey = (site: string, id: string): string => `${site} ${id}`;

export interface Settled {
  readonly wanted: ReadonlyMap<string, Wanted>;
  readonly rounds: ReadonlyMap<string, number>;
  readonly appInsts: readonly AppInst[];
  readonly ledgers: readonly CloudletLedger[];
  readonly cloudlets: readonly Cloudlet[];
  /** By site and id. */
  readonly platforms: ReadonlyMap<string, ReadonlyMap<string, FakeInstance>>;
  /** What a restored region does not know at a site, by `orphanKey`: it stays. */
  readonly orphans: ReadonlySet<string>;
}

export interface Problem {
  readonly text: string;
  /** Name and id of the instance. */
  readonly about: readonly string[];
}

export function problemsOf(settled: Settled): readonly Problem[] {
  const byName = new Map(settled.appInsts.map((one) => [one.metadata.name, one]));
  const problems: Problem[] = [];
  for (const cloudlet of settled.cloudlets)
    if (conditionOf(cloudlet, 'Ready')?.status !== 'True')
      problems.push({ text: `${cloudlet.metadata.name} is not Ready`, about: [] });
  const ids = new Set<string>();
  for (const wanted of settled.wanted.values()) {
    const appInst = byName.get(wanted.name);
    const id = appInst?.metadata.uid ?? '';
    ids.add(id);
    for (const text of wrongWith(settled, wanted, appInst))
      problems.push({ text: `${wanted.name} (${id}): ${text}`, about: [wanted.name, id] });
  }
  for (const { metadata } of settled.appInsts)
    if (!settled.wanted.has(metadata.name))
      problems.push({ text: `${metadata.name} was deleted and is there`, about: [metadata.name] });
  return [...problems, ...leftovers(settled, ids)];
}

function leftovers(
  { ledgers, platforms, orphans }: Settled,
  ids: ReadonlySet<string>,
): readonly Problem[] {
  const left: Problem[] = [];
  const tell = (what: string, { id, name = '' }: { id: string; name?: string }): void => {
    left.push({ text: `${what} ${name} (${id})`, about: [id, name] });
  };
  for (const { metadata, spec } of ledgers) {
    for (const entry of spec.entries ?? [])
      if (!ids.has(entry.id)) tell(`the ledger of ${metadata.name} has an entry for`, entry);
    for (const tombstone of spec.tombstones ?? [])
      tell(`the ledger of ${metadata.name} has a tombstone for`, tombstone);
  }
  for (const [site, instances] of platforms)
    for (const [id, { name }] of instances)
      if (!ids.has(id) && !orphans.has(orphanKey(site, id)))
        tell(`${site} runs what was deleted:`, { id, name });
  for (const orphan of orphans) {
    const [site = '', id = ''] = orphan.split(' ');
    if (!platforms.get(site)?.has(id)) tell(`${site} lost an orphan`, { id });
  }
  return left;
}

function wrongWith(settled: Settled, wanted: Wanted, appInst: AppInst | undefined): string[] {
  if (!appInst) return ['is not there'];
  const { status, metadata } = appInst;
  const id = metadata.uid ?? '';
  const site = status?.placement?.cloudlet;
  if (site === undefined) return [`is not placed: ${conditionsText(appInst)}`];
  const wrong: string[] = [];
  if (wanted.place !== 'zone' && wanted.place.site !== site)
    wrong.push(`is placed at ${site}, wanted at ${wanted.place.site}`);
  const elsewhere = [...settled.platforms].filter(
    ([name, has]) => name !== site && has.has(id) && !settled.orphans.has(orphanKey(name, id)),
  );
  for (const [name] of elsewhere) wrong.push(`runs at ${name} too`);
  const instance = settled.platforms.get(site)?.get(id);
  if (!instance) return [...wrong, `does not run at ${site}`];
  return [
    ...wrong,
    ...platformWrong(settled, wanted, instance),
    ...statusWrong(settled, wanted, appInst, instance),
  ];
}

function platformWrong(settled: Settled, wanted: Wanted, instance: FakeInstance): string[] {
  const wrong: string[] = [];
  const replicas = wanted.isOff ? 0 : wanted.replicas;
  const { wish, round } = contentOf(instance);
  if (wish !== wanted.wish) wrong.push(`runs wish ${wish}, wanted ${wanted.wish}`);
  if (round !== settled.rounds.get(wanted.app)) wrong.push(`runs round ${round} of ${wanted.app}`);
  const running = instance.tasks.filter(({ state }) => state === 'running').length;
  if (running !== replicas || instance.tasks.length !== replicas)
    wrong.push(`${running} of ${instance.tasks.length} tasks run, wanted ${replicas}`);
  return wrong;
}

function statusWrong(
  settled: Settled,
  wanted: Wanted,
  appInst: AppInst,
  instance: FakeInstance,
): string[] {
  const { metadata, status } = appInst;
  const wrong: string[] = [];
  const entry = settled.ledgers
    .find((ledger) => ledger.metadata.name === status?.placement?.cloudlet)
    ?.spec.entries?.find(({ id }) => id === metadata.uid);
  if (entry?.sequence !== instance.sequence)
    wrong.push(`the ledger says plan ${entry?.sequence}, the site runs ${instance.sequence}`);
  if (status?.site?.placement !== instance.sequence)
    wrong.push(
      `the status is of plan ${status?.site?.placement}, the site runs ${instance.sequence}`,
    );
  const told = (status?.instances ?? []).map(({ name, state }) => `${name} ${state}`).sort();
  const there = instance.tasks.map(({ name, state }) => `${name} ${state}`).sort();
  if (told.join() !== there.join())
    wrong.push(`the status shows [${told.join()}], the platform has [${there.join()}]`);
  const ready = conditionOf(appInst, 'Ready');
  if (
    (ready?.status === 'True') === wanted.isOff ||
    ready?.observedGeneration !== metadata.generation
  )
    wrong.push(
      `${wanted.isOff ? 'is off' : 'runs'}, and its conditions are ${conditionsText(appInst)}`,
    );
  return wrong;
}

const conditionsText = ({ status }: AppInst): string =>
  (status?.conditions ?? [])
    .map(
      ({ type, status: is, reason, observedGeneration }) =>
        `${type}=${is} ${reason} of ${observedGeneration}`,
    )
    .join(', ');
