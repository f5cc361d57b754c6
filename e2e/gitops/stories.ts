/**
 * Argo CD drives the example repository: what it makes of every state, told as stories that follow each other
 * in one world. Run by `npm run e2e:argocd`, which builds what is needed first.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kinds } from '@cloudlet/crds';
import { parse, stringify } from 'yaml';
import { judge } from '../testbed/argocd/programs.ts';
import { ensureArgoPrograms } from '../testbed/argocd/programs.ts';
import { expect, noProgress, repositoryRoot, until } from '../testbed/index.ts';
import type { Application, ResourceState, Said } from './history.ts';
import {
  type GitOpsWorld,
  missingImage,
  openGitOpsWorld,
  type RegionName,
  regionNames,
  runningAt,
} from './world.ts';

const waitMs = 180_000;
const apps = ['platform', 'telemetry', 'web'] as const;
const all = regionNames.flatMap((region) => apps.map((app) => `${region}-${app}`));

let dir: string;
let world: GitOpsWorld;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gitops-'));
  world = await openGitOpsWorld({
    ...{ programs: await ensureArgoPrograms(noProgress), dir, progress: noProgress },
  });
});
after(async () => {
  await world.stop();
  await rm(dir, { recursive: true, force: true });
});

const resource = (app: Application | undefined, what: string): ResourceState | undefined =>
  app?.status?.resources?.find(({ kind, name }) => `${kind} ${name}` === what);

const tell = (app: Application | undefined): string =>
  JSON.stringify({ ...app?.status, summary: undefined, history: undefined }).slice(0, 4000);

/** Waits until an Application is as the newest commit says, and as healthy as wanted. */
function settled(name: string, health: string): Promise<Application> {
  return until(`${name} to be Synced and ${health}`, waitMs, () => {
    const app = world.history.application(name);
    const { sync, health: found } = app?.status ?? {};
    expect(sync?.status === 'Synced' && sync.revision === world.repository.head, tell(app));
    expect(found?.status === health, tell(app));
    return app as Application;
  });
}

/** Waits until Argo CD says that of one resource. */
function says(name: string, what: string, health: string, message: RegExp): Promise<ResourceState> {
  return until(`${name} to call ${what} ${health} (${message})`, waitMs, () => {
    const state = resource(world.history.application(name), what);
    expect(state?.health?.status === health, JSON.stringify(state));
    expect(message.test(state.health.message ?? ''), JSON.stringify(state));
    return state;
  });
}

const degradedSince = (place: number): readonly Said[] =>
  world.history.since(place).filter(({ health }) => health === 'Degraded');

const images = (sites: readonly string[], instance: string): readonly string[] =>
  sites.flatMap((site) => runningAt(world.platform(site), instance));

const running = (sites: readonly string[], instance: string, wanted: readonly string[]) =>
  until(`${instance} to run ${wanted.length} tasks`, waitMs, () => {
    const found = images(sites, instance);
    expect(JSON.stringify(found) === JSON.stringify(wanted), JSON.stringify(found));
  });

const gone = (region: RegionName, kind: string, name: string, namespace: string) =>
  until(`${kind} ${name} to be gone`, waitMs, async () => {
    const { kubectl } = world.region(region).controlPlane;
    const get = ['get', kind, name, '--namespace', namespace, '--ignore-not-found', '-o', 'name'];
    expect((await kubectl(get)).trim() === '', 'it is there');
  });

const v1 = 'registry.example/shop/web:1.0';
const v2 = 'registry.example/shop/web:1.1';
const webApp = 'base/apps/web/app.yaml';
const usWeb = 'regions/us-west/apps/web/instances.yaml';
const stockholm = ['stockholm-1', 'stockholm-2'];

test('health checks and kstatus say of every state what is written beside it', async () => {
  for (const { kind } of kinds) {
    const folder = join(
      ...[repositoryRoot, 'operator/argocd/resource_customizations/edge.cloudlet.dev', kind],
    );
    const load = async (name: string) => parse(await readFile(join(folder, name), 'utf8')) as never;
    const { tests }: { tests: { inputPath: string; healthStatus: object }[] } =
      await load('health_test.yaml');
    const { tests: byKstatus }: { tests: { inputPath: string; status: string }[] } =
      await load('kstatus_test.yaml');
    assert.ok(tests.length > 0 && tests.length === byKstatus.length);
    const script = await readFile(join(folder, 'health.lua'), 'utf8');
    const questions = await Promise.all(
      tests.map(async ({ inputPath }) => ({ script, object: await load(inputPath) })),
    );
    const judged = await judge(world.programs, questions);
    assert.deepEqual(
      judged.map(({ health, healthMessage, kstatus }, index) => ({
        inputPath: tests[index]?.inputPath,
        healthStatus: { status: health, message: healthMessage },
        kstatus,
      })),
      tests.map((each, index) => ({ ...each, kstatus: byKstatus[index]?.status })),
      kind,
    );
  }
});

test('Argo CD makes what the repository says in every region, and waits for no machine', async () => {
  for (const name of ['projects', 'platform', 'organizations'])
    await world.controlPlane.kubectl(['apply', '-f', '-'], {
      input: world.repository.read(`argocd/${name}.yaml`),
    });
  for (const name of all)
    await until(`${name} to be synced before a site has joined`, waitMs, () => {
      const app = world.history.application(name);
      expect(app?.status?.sync?.status === 'Synced', tell(app));
      expect(app.status.operationState?.phase === 'Succeeded', tell(app));
    });
  await says('us-west-platform', 'Cloudlet seattle-1', 'Progressing', /^NeverConnected: /);
  for (const site of stockholm) await world.connect('eu-north', site);
  for (const site of ['portland-1', 'seattle-1']) await world.connect('us-west', site);
  for (const app of apps) await settled(`us-west-${app}`, 'Healthy');
  await settled('eu-north-telemetry', 'Healthy');
  await running(stockholm, 'web-stockholm', [v1, v1]);
  await says('eu-north-web', 'AppInst web-kiruna', 'Progressing', /^WaitingForSite: /);
  await settled('eu-north-web', 'Progressing');
  assert.deepEqual(degradedSince(0), []);
});

test('a site that joins late makes the rest Healthy', async () => {
  await world.connect('eu-north', 'kiruna-1');
  for (const name of all) await settled(name, 'Healthy');
  await running(['kiruna-1'], 'web-kiruna', [v1]);
  assert.deepEqual(degradedSince(0), []);
});

test('a changed App rolls out in every region, Progressing on the way and never Degraded', async () => {
  const start = world.history.now;
  await world.commit('Roll out 1.1', (files) => files.replace(webApp, v1, v2));
  await running(stockholm, 'web-stockholm', [v2, v2]);
  await running(['kiruna-1'], 'web-kiruna', [v2]);
  await running(['portland-1'], 'web-portland', [v2, v2]);
  await running(['seattle-1'], 'web-seattle', [v2]);
  for (const region of regionNames) await settled(`${region}-web`, 'Healthy');
  const said = world.history.since(start);
  assert.deepEqual(degradedSince(start), []);
  assert.deepEqual(
    world.stalled,
    [],
    'nothing in the regions was stalled, for however short a time',
  );
  for (const what of ['AppInst web-stockholm', 'AppInst web-portland']) {
    const healths = said.filter((each) => each.what === what).map(({ health }) => health);
    assert.ok(healths.includes('Progressing'), `${what}: ${healths.join(', ')}`);
    assert.equal(healths.at(-1), 'Healthy', what);
  }
});

test('what somebody changes or deletes by hand is put right', async () => {
  const start = world.history.now;
  const { kubectl } = world.region('us-west').controlPlane;
  const object = ['appinst', 'web-portland', '--namespace', 'web'];
  const patch = JSON.stringify({ spec: { replicas: 5 } });
  await kubectl(['patch', ...object, '--type', 'merge', '--patch', patch]);
  await until('the replicas that the repository says', waitMs, async () => {
    const found = await world.appInst('us-west', 'web/web-portland');
    expect(found?.metadata.generation !== 1, 'it has not been changed yet');
    expect(found?.spec.replicas === 2, `it has ${found?.spec.replicas}`);
  });
  await running(['portland-1'], 'web-portland', [v2, v2]);
  const before = await world.appInst('us-west', 'web/web-seattle');
  await kubectl(['delete', 'appinst', 'web-seattle', '--namespace', 'web', '--wait=false']);
  await until('web-seattle to be made again', waitMs, async () => {
    const uid = (await world.appInst('us-west', 'web/web-seattle'))?.metadata.uid;
    expect(uid !== undefined && uid !== before?.metadata.uid, `it is ${uid}`);
  });
  await running(['seattle-1'], 'web-seattle', [v2]);
  await settled('us-west-web', 'Healthy');
  assert.deepEqual(degradedSince(start), []);
});

test('what git does not name may be set by hand and stays: an instance that is suspended', async () => {
  const { kubectl } = world.region('us-west').controlPlane;
  const suspend = (value: boolean | null) =>
    kubectl([
      ...['patch', 'appinst', 'web-portland', '--namespace', 'web', '--type', 'merge', '--patch'],
      JSON.stringify({ spec: { suspend: value } }),
    ]);
  await suspend(true);
  await says('us-west-web', 'AppInst web-portland', 'Suspended', /^Suspended: /);
  await world.commit('Change something else', (files) =>
    files.replace(usWeb, 'replicas: 1', 'replicas: 2'),
  );
  await running(['seattle-1'], 'web-seattle', [v2, v2]);
  await settled('us-west-web', 'Suspended');
  assert.equal((await world.appInst('us-west', 'web/web-portland'))?.spec.suspend, true);
  await suspend(null);
  await world.commit('Change it back', (files) =>
    files.replace(
      usWeb,
      'zoneRef: { name: seattle }, replicas: 2',
      'zoneRef: { name: seattle }, replicas: 1',
    ),
  );
  await running(['seattle-1'], 'web-seattle', [v2]);
  await settled('us-west-web', 'Healthy');
});

test('an image that is not there is Degraded with the reason, while the last one serves', async () => {
  const text = world.repository.read(usWeb);
  const fresh = {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'AppInst',
    metadata: { name: 'web-fresh' },
    spec: { appRef: { name: 'web' }, zoneRef: { name: 'seattle' }, replicas: 1 },
  };
  await world.commit('Roll out a mistake', (files) => {
    files.replace(webApp, v2, missingImage);
    files.write(usWeb, `${text}---\n${stringify(fresh)}`);
  });
  const why = /^RolledBack: Revision \S+ failed \(ImageNotFound: .*no-such-tag.*\); \S+ runs\.$/;
  await says('eu-north-web', 'AppInst web-stockholm', 'Degraded', why);
  await says('us-west-web', 'AppInst web-portland', 'Degraded', why);
  await says('us-west-web', 'AppInst web-fresh', 'Degraded', /^ImageNotFound: .*no-such-tag/);
  for (const region of regionNames) await settled(`${region}-web`, 'Degraded');
  assert.deepEqual(images(['portland-1'], 'web-portland'), [v2, v2]);
  await world.commit('Take it back', (files) => files.replace(webApp, missingImage, v2));
  for (const region of regionNames) await settled(`${region}-web`, 'Healthy');
  await running(['seattle-1'], 'web-fresh', [v2]);
  await world.commit('Leave it at that', (files) => files.write(usWeb, text));
  await gone('us-west', 'appinst', 'web-fresh', 'web');
  await settled('us-west-web', 'Healthy');
});

test('an App that is no compose file is Degraded with the reason', async () => {
  const path = 'base/apps/telemetry/app.yaml';
  const good = world.repository.read(path);
  await world.commit('Forget the services', (files) =>
    files.replace(
      path,
      'image: registry.example/telemetry/collector:2.3',
      "compose: 'services: {}'",
    ),
  );
  const why = /^InvalidCompose: spec\.compose: it has no services\.$/;
  for (const region of regionNames)
    await says(`${region}-telemetry`, 'App telemetry', 'Degraded', why);
  await world.commit('Say what it runs', (files) => files.write(path, good));
  for (const region of regionNames) await settled(`${region}-telemetry`, 'Healthy');
});

test('an instance of an App that stays away is Degraded with the reason, not before a minute', async () => {
  const lost = {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'AppInst',
    metadata: { name: 'lost' },
    spec: { appRef: { name: 'no-such-app' }, zoneRef: { name: 'seattle' } },
  };
  const text = world.repository.read(usWeb);
  await world.commit('Refer to nothing', (files) =>
    files.write(usWeb, `${text}---\n${stringify(lost)}`),
  );
  await says('us-west-web', 'AppInst lost', 'Progressing', /^AppNotFound: /);
  await says('us-west-web', 'AppInst lost', 'Degraded', /^AppNotFound: .*'no-such-app'/);
  await world.commit('Refer to it no more', (files) => files.write(usWeb, text));
  await gone('us-west', 'appinst', 'lost', 'web');
  await settled('us-west-web', 'Healthy');
});

test('removal waits for a site that is cut off, and keeps nothing else waiting', async () => {
  const start = world.history.now;
  await world.cutOff('portland-1');
  await says('us-west-platform', 'Cloudlet portland-1', 'Degraded', /^SiteUnreachable: /);
  await says('us-west-web', 'AppInst web-portland', 'Progressing', /^SiteUnreachable: /);
  const [portland = '', seattle = ''] = world.repository.read(usWeb).split('---\n');
  await world.commit('Leave Portland', (files) => files.write(usWeb, seattle));
  await until('web-portland to be asked to go', waitMs, async () => {
    const found = await world.appInst('us-west', 'web/web-portland');
    expect(found?.metadata.deletionTimestamp !== undefined, 'it is not deleted');
  });
  const grown = seattle.replace('replicas: 1', 'replicas: 3');
  await world.commit('Grow Seattle', (files) => files.write(usWeb, grown));
  await running(['seattle-1'], 'web-seattle', [v2, v2, v2]);
  assert.deepEqual(images(['portland-1'], 'web-portland'), [v2, v2], 'it runs on');
  assert.ok(await world.appInst('us-west', 'web/web-portland'), 'it waits for its site');
  await says('us-west-web', 'AppInst web-portland', 'Progressing', /Pending deletion/);
  await world.connect('us-west', 'portland-1');
  await gone('us-west', 'appinst', 'web-portland', 'web');
  assert.deepEqual(images(['portland-1'], 'web-portland'), []);
  await settled('us-west-web', 'Healthy');
  await settled('us-west-platform', 'Healthy');
  const appInsts = degradedSince(start).filter(({ what }) => what.startsWith('AppInst'));
  assert.deepEqual(appInsts, []);
  assert.ok(portland.includes('web-portland'));
});

test('a folder that goes takes along what it made, instances before what they refer to', async () => {
  const { kubectl } = world.region('eu-north').controlPlane;
  const site = world.platform('stockholm-2');
  const before = site.instances.size;
  const left = async (): Promise<string> => {
    const get = ['get', 'appinst,app,cluster', '--namespace', 'telemetry', '-o', 'name'];
    const names = await kubectl(get);
    return names.trim().replaceAll('.edge.cloudlet.dev', '').split('\n').join(' ');
  };
  const whole = 'appinst/telemetry app/telemetry cluster/sensors';
  await world.cutOff('stockholm-2');
  const folder = 'regions/eu-north/apps/telemetry';
  await world.commit('Give up telemetry in the north', (files) => files.remove(folder));
  await until('the instance to be asked to go', waitMs, async () => {
    const found = await world.appInst('eu-north', 'telemetry/telemetry');
    expect(found?.metadata.deletionTimestamp !== undefined, 'it is not deleted');
  });
  assert.equal(await left(), whole);
  assert.ok(world.history.application('eu-north-telemetry'), 'the Application waits too');
  await world.connect('eu-north', 'stockholm-2');
  const seen: string[] = [];
  await until('all of it to be gone', waitMs, async () => {
    const now = await left();
    seen.push(now);
    expect(now === '', now);
  });
  for (const state of seen.filter((each) => each.includes('appinst/'))) assert.equal(state, whole);
  assert.equal(site.instances.size, before - 1);
  await until('the Application to be gone', waitMs, () =>
    expect(!world.history.application('eu-north-telemetry'), 'it is there'),
  );
  assert.match(await kubectl(['get', 'namespace', 'telemetry', '-o', 'name']), /telemetry/);
  await settled('eu-north-web', 'Healthy');
});

test('a site that leaves the repository stays until somebody deletes it and nothing runs there', async () => {
  const { kubectl } = world.region('us-west').controlPlane;
  const [path, zones] = ['sites', 'zones'].map((name) => `regions/us-west/platform/${name}.yaml`);
  const [portland = ''] = world.repository.read(path ?? '').split('---\n');
  const read = () => world.cloudlet('us-west', 'seattle-1');
  await world.commit('Close Seattle', (files) => files.write(path ?? '', portland));
  await until('Argo CD to see that a site has left', waitMs, () => {
    const app = world.history.application('us-west-platform');
    expect(app?.status?.sync?.revision === world.repository.head, tell(app));
    expect(resource(app, 'Cloudlet seattle-1')?.status === 'OutOfSync', tell(app));
  });
  await world.commit('Describe Portland', (files) =>
    files.replace(
      zones ?? '',
      '{ operator: campus }',
      '{ operator: campus, description: A city. }',
    ),
  );
  await until('a later commit to come through', waitMs, async () => {
    const text = await kubectl(['get', 'zone', 'portland', '-o', 'jsonpath={.spec.description}']);
    expect(text === 'A city.', text);
  });
  assert.equal((await read())?.metadata.deletionTimestamp, undefined);
  await kubectl(['delete', 'cloudlet', 'seattle-1', '--wait=false']);
  await until('it to say what it waits for', waitMs, async () => {
    const { reason, message = '' } =
      (await read())?.status?.conditions?.find(({ type }) => type === 'Ready') ?? {};
    expect(reason === 'InUse' && message.includes('AppInst'), `${reason}: ${message}`);
  });
  await world.commit('Give up the west', (files) => files.remove('regions/us-west/apps'));
  await gone('us-west', 'cloudlet', 'seattle-1', 'default');
  assert.equal(world.platform('seattle-1').instances.size, 0);
  await settled('us-west-platform', 'Healthy');
});
