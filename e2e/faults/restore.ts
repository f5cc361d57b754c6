/**
 * The region is restored from a backup that is older than what its sites run.
 *
 * Guarantees: the backup is a copy of etcd's data; it is put back as etcd's own tool does it with
 * `--bump-revision --mark-compacted`, so that whoever watched has to list anew; operators and hubs are
 * restarted with the API server, as Kubernetes asks of whatever has caches; agents go on meanwhile, some of
 * them cut off until it is over. Until somebody asks for it again, no site may lose anything that it ran, but
 * for what runs where the restored region has it placed; then all that was wanted last is asked for again, as
 * whoever keeps it in Git would. What the restored region does not know stays where it is, and is told as an
 * orphan; what it knows runs at one site in the end.
 */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@cloudlet/runtime/base';
import { conditionOf } from '../scale/conditions.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import { expect, until } from '../testbed/index.ts';
import { orphanKey } from './agreement.ts';
import { type FaultBed, namespace } from './bed.ts';
import { etcdOf } from './etcd.ts';
import type { Run } from './run.ts';

export const restoreName = 'region-restored';

const healMs = 240_000;
/** Long enough for every site to be told what it should not be told. */
const quietMs = 15_000;
const spareRevisions = 1_000;

/** Copies what the region knows. @returns the folder of the copy */
export async function backUp({ bed, options }: Run): Promise<string> {
  const folder = join(bed.dir, 'backup');
  options.progress('the region is backed up');
  using _ = bed.hold('etcd');
  const etcd = partOf(bed, 'etcd');
  await etcd.kill();
  await rm(folder, { recursive: true, force: true });
  await cp(dataOf(bed), folder, { recursive: true });
  await etcd.start();
  return folder;
}

/** One site in so many is cut off while the region is restored. */
const awayEach = 6;

/** @returns what of the sites the region does not know any more */
export async function restore(run: Run, backup: string): Promise<ReadonlySet<string>> {
  const { bed, options } = run;
  const { history, appInsts, hollow } = bed;
  history.read();
  const before = [...history.platforms].map(([site, has]) => [site, [...has.keys()]] as const);
  const away = hollow.names.filter((_, index) => index % awayEach === 0);
  options.progress(`the region is restored from its backup, ${away.length} sites are cut off`);
  history.note(machineMs(), `the region is restored, without ${away.join(', ')}`);
  history.restored();
  await hollow.cut(away, 'silent');
  await putBack(bed, backup, options.signal);
  await regionServes(bed, away, options.signal);
  await systemClock.sleep(quietMs, options.signal);
  await hollow.heal(away);
  await regionServes(bed, [], options.signal);
  await systemClock.sleep(quietMs, options.signal);
  history.read();
  const known = new Map(
    appInsts.cache
      .list()
      .map(({ metadata, status }) => [metadata.uid, status?.placement?.cloudlet]),
  );
  const runsWherePlaced = (id: string): boolean =>
    history.platforms.get(known.get(id) ?? '')?.has(id) ?? false;
  for (const [site, ids] of before)
    for (const id of ids)
      if (!history.platforms.get(site)?.has(id) && !runsWherePlaced(id))
        history.wrong(site, id, 'was removed because of a restore');
  const orphans = before.flatMap(([site, ids]) =>
    ids.filter((id) => !known.has(id)).map((id) => orphanKey(site, id)),
  );
  await orphansAreTold(bed, orphans, options.signal);
  return new Set(orphans);
}

/** Asks for all that is wanted, and for the end of what is not. */
export function askAgain({ bed, wishes, asking }: Run): void {
  for (const [app, round] of wishes.rounds) asking.ask({ kind: 'roll', app, round });
  for (const wanted of wishes.wanted.values()) {
    const { name, app } = wanted;
    const restored = bed.appInsts.cache.get(`${namespace}/${name}`);
    // It had been deleted and made of another App since the backup.
    if (restored && restored.spec.appRef.name !== app) asking.ask({ kind: 'delete', name });
    asking.ask({ kind: 'apply', what: 'want again', wanted });
  }
  for (const { metadata } of bed.appInsts.cache.list())
    if (metadata.namespace === namespace && !wishes.wanted.has(metadata.name))
      asking.ask({ kind: 'delete', name: metadata.name });
}

async function putBack(bed: FaultBed, backup: string, signal: AbortSignal): Promise<void> {
  using held = new DisposableStack();
  const ours = [...bed.parts].filter(([name]) => /^(operator|hub)/.test(name));
  for (const name of ['etcd', 'kube-apiserver', ...ours.map(([name]) => name)])
    held.use(bed.hold(name));
  const etcd = etcdOf(bed.controlPlane.etcdUrl, signal);
  const revision = await etcd.revision();
  for (const [, part] of ours) await part.kill();
  for (const name of ['kube-apiserver', 'etcd']) await partOf(bed, name).kill();
  await rm(dataOf(bed), { recursive: true });
  await cp(backup, dataOf(bed), { recursive: true });
  await partOf(bed, 'etcd').start();
  await etcd.raise(revision + spareRevisions);
  await etcd.compact();
  await partOf(bed, 'kube-apiserver').start();
  await Promise.all(ours.map(([, part]) => part.start()));
}

async function regionServes(
  { hollow }: FaultBed,
  away: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await until(
    'the sites to be Ready in the restored region',
    healMs,
    () => {
      for (const cloudlet of hollow.cloudlets.cache.list()) {
        const { name } = cloudlet.metadata;
        const isReady = conditionOf(cloudlet, 'Ready')?.status === 'True';
        expect(isReady || away.includes(name), `${name} is not`);
      }
    },
    { signal, intervalMs: 500 },
  );
}

async function orphansAreTold(
  { hollow }: FaultBed,
  orphans: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await until(
    'the orphans to be told',
    healMs,
    () => {
      const told = new Set(
        hollow.cloudlets.cache
          .list()
          .flatMap(({ metadata, status }) =>
            (status?.site?.orphans ?? []).map(({ id }) => orphanKey(metadata.name, id)),
          ),
      );
      const missing = orphans.filter((one) => !told.has(one));
      expect(missing.length === 0, `${missing.join(', ')}: no site tells of them`);
    },
    { signal, intervalMs: 500 },
  );
}

const dataOf = ({ dir }: FaultBed): string => join(dir, 'controlplane', 'etcd');

function partOf(bed: FaultBed, name: string) {
  const part = bed.parts.get(name);
  if (!part) throw new RangeError(`the region has no part ${name}`);
  return part;
}
