/** What was refused the place that it wants gets it as soon as there is one. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AppInst, type Bed, conditionIn, eventually, openBed } from './operator-bed.ts';

let bed: Bed;
before(async () => {
  bed = await openBed('operator-waiting-');
  await bed.create('Flavor', 'half', { vcpus: '500m', memory: '64Mi' });
  await bed.create('App', 'shop/web', {
    ...{ version: '1', deployment: 'Docker', image: 'web:1', defaultFlavorRef: { name: 'half' } },
  });
  await bed.create('Zone', 'town', { operator: 'op' });
  const room = { capacity: { cpuMillis: 600, memoryBytes: 2 ** 30 } };
  for (const [name, report] of [
    ['small', room],
    ['wide', {}],
    ['shut', {}],
  ] as const) {
    const site = await bed.site(name, name === 'small' ? { zoneRef: { name: 'town' } } : {});
    await site.connect(report);
    await site.run();
  }
});
after(async () => bed[Symbol.asyncDispose]());

const read = (name: string): AppInst | undefined => bed.appInsts.cache.get(`shop/${name}`);
const create = (name: string, spec: object) =>
  bed.create('AppInst', `shop/${name}`, { appRef: { name: 'web' }, ...spec });
const patch = (kind: 'AppInst' | 'Cloudlet', name: string, spec: object) =>
  bed.resource(kind).mergePatch(name, kind === 'AppInst' ? 'shop' : undefined, { spec });
const refused = (name: string): Promise<AppInst> =>
  eventually(`${name} is refused`, () => {
    const accepted = conditionIn(read(name), 'Accepted');
    return accepted?.reason === 'NoSiteFits' ? read(name) : undefined;
  });
const runsAt = (name: string, site: string): Promise<boolean> =>
  eventually(`${name} runs at ${site}`, () => {
    const isReady = conditionIn(read(name), 'Ready')?.status === 'True';
    return (isReady && read(name)?.status?.placement?.cloudlet === site) || undefined;
  });

test('one that is refused a move goes when the site takes instances again', async () => {
  await create('mover', { cloudletRef: { name: 'wide' } });
  await runsAt('mover', 'wide');
  await patch('Cloudlet', 'shut', { maintenance: 'Drain' });
  await patch('AppInst', 'mover', { cloudletRef: { name: 'shut' } });
  assert.equal((await refused('mover')).status?.placement?.cloudlet, 'wide');
  await patch('Cloudlet', 'shut', { maintenance: 'Normal' });
  await runsAt('mover', 'shut');
});

test('one that finds no room gets it when another goes', async () => {
  const town = { cloudletRef: null, zoneRef: { name: 'town' } };
  await create('first', { zoneRef: town.zoneRef });
  await runsAt('first', 'small');
  await create('second', { zoneRef: town.zoneRef });
  await patch('AppInst', 'mover', town);
  assert.equal((await refused('second')).status?.placement, undefined);
  await refused('mover');
  await patch('AppInst', 'first', { zoneRef: null, cloudletRef: { name: 'wide' } });
  await runsAt('first', 'wide');
  await eventually('one of the two is at small', () =>
    ['second', 'mover'].some((name) => read(name)?.status?.placement?.cloudlet === 'small'),
  );
});
