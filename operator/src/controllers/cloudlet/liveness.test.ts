import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@cloudlet/runtime/base';
import { aLease } from '../../builders.ts';
import type { Lease } from '../../kinds.ts';
import { Liveness } from './liveness.ts';

const secondMs = 1000;
const at = (clock: FakeClock): string => new Date(clock.now()).toISOString().replace('Z', '000Z');

/** A region with one hub that lives, and what it says of each site. */
function region(sites: readonly string[] = ['a']) {
  const clock = new FakeClock();
  const again: string[] = [];
  const liveness = new Liveness({ clock, onMassLoss: (names) => again.push(...names) });
  const leases = new Map<string, Lease>();
  const hub = (holder = 'hub-1'): void =>
    liveness.observe(
      aLease('hub-1', { holderIdentity: holder, leaseDurationSeconds: 30, renewTime: at(clock) }),
    );
  const renew = (site: string, holder = 'hub-1/boot'): void => {
    const lease = aLease(`site-${site}`, {
      holderIdentity: holder,
      leaseDurationSeconds: 90,
      acquireTime: at(clock),
      renewTime: at(clock),
    });
    leases.set(site, lease);
    liveness.observe(lease);
  };
  const judge = (site: string) => liveness.judge(site, leases.get(site), false);
  hub();
  for (const site of sites) renew(site);
  for (const site of sites) assert.equal(judge(site).status, 'True');
  return { clock, liveness, hub, renew, judge, again, leases };
}

test('a Lease that is held and fresh is a connection, until it would expire', () => {
  const { judge } = region();
  assert.deepEqual(judge('a'), {
    status: 'True',
    reason: 'Connected',
    message: 'An agent of the site is connected.',
    hub: 'hub-1',
    recheckMs: 90 * secondMs + 50,
  });
});

test('a site without a Lease, or with one that nobody ever took, has never connected', () => {
  const { liveness } = region([]);
  assert.equal(liveness.judge('new', undefined, false).reason, 'NeverConnected');
  assert.equal(liveness.judge('new', aLease('site-new'), false).reason, 'NeverConnected');
});

test('a Lease that is given back counts at once', () => {
  const { renew, judge } = region();
  renew('a', '');
  assert.equal(judge('a').reason, 'SiteUnreachable');
});

test('a Lease that is not renewed counts after 90 s by our own clock', async () => {
  const { clock, judge, hub } = region();
  await clock.advance(89 * secondMs);
  hub();
  assert.equal(judge('a').status, 'True');
  await clock.advance(2 * secondMs);
  assert.equal(judge('a').reason, 'SiteUnreachable');
});

test("the hub's clock may be wrong: a renewal is as old as the time since it was seen", async () => {
  const { clock, liveness, judge, leases, hub } = region();
  await clock.advance(80 * secondMs);
  hub();
  const skewed = aLease('site-a', {
    ...leases.get('a')?.spec,
    renewTime: '2020-01-01T00:00:00.000000Z',
  });
  leases.set('a', skewed);
  liveness.observe(skewed);
  await clock.advance(60 * secondMs);
  hub();
  assert.equal(judge('a').status, 'True');
});

test('when no hub lives it is not the site that is lost', async () => {
  const { clock, judge } = region();
  await clock.advance(91 * secondMs);
  assert.deepEqual(
    [judge('a').status, judge('a').reason, judge('a').message],
    ['Unknown', 'HubUnavailable', 'No hub is running.'],
  );
});

test('sites have a minute to come back after the hubs did', async () => {
  const { clock, judge, hub } = region();
  await clock.advance(91 * secondMs);
  assert.equal(judge('a').reason, 'HubUnavailable');
  await clock.advance(secondMs);
  hub();
  assert.equal(judge('a').message, 'The region has just come back.');
  for (let passed = 0; passed < 61; passed += 20) {
    await clock.advance(20 * secondMs);
    hub();
  }
  assert.equal(judge('a').reason, 'SiteUnreachable');
});

test('when most of five sites go within a minute the region is blind, for five minutes', async () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const { clock, judge, renew, hub, again } = region(names);
  renew('a', '');
  assert.equal(judge('a').reason, 'SiteUnreachable');
  renew('b', '');
  assert.equal(judge('b').reason, 'SiteUnreachable');
  renew('c', '');
  assert.equal(judge('c').reason, 'HubUnavailable');
  assert.deepEqual(again, ['a', 'b', 'c'], 'those that went before are judged again');
  assert.equal(judge('a').reason, 'HubUnavailable');
  assert.equal(judge('d').status, 'True');
  renew('a');
  assert.equal(judge('a').status, 'True');
  for (let passed = 0; passed < 5 * 61; passed += 20) {
    await clock.advance(20 * secondMs);
    hub();
  }
  assert.equal(judge('b').reason, 'SiteUnreachable');
});

test('two of four sites, or five that go one by one, are lost', async () => {
  const few = region(['a', 'b', 'c', 'd']);
  for (const name of ['a', 'b', 'c']) {
    few.renew(name, '');
    assert.equal(few.judge(name).reason, 'SiteUnreachable');
  }
  const slow = region(['a', 'b', 'c', 'd', 'e']);
  for (const name of ['a', 'b', 'c', 'd']) {
    slow.renew(name, '');
    assert.equal(slow.judge(name).reason, 'SiteUnreachable');
    for (let passed = 0; passed < 61; passed += 20) {
      await slow.clock.advance(20 * secondMs);
      slow.hub();
    }
    for (const other of ['a', 'b', 'c', 'd', 'e'].filter((each) => each > name)) slow.renew(other);
  }
});

test('two agents that contest a site are told apart from a lost one', () => {
  const { liveness, judge, leases } = region();
  const contested = aLease(
    'site-a',
    { ...leases.get('a')?.spec, holderIdentity: '' },
    {
      'edge.cloudlet.dev/duplicate': '{}',
    },
  );
  leases.set('a', contested);
  liveness.observe(contested);
  assert.equal(judge('a').reason, 'DuplicateAgent');
});

const turnedAway = (member: string, boot: string, at: number) => ({
  ...{ fingerprint: `SHA256:${member}`, member, boot, reason: 'VersionMismatch' },
  ...{ message: 'agent 7.7.7 speaks 3 to 4: upgrade the region', at: new Date(at).toISOString() },
});

const annotated = (lease: Lease | undefined, entries: readonly object[]): Lease =>
  aLease('site-a', lease?.spec, { 'edge.cloudlet.dev/turned-away': JSON.stringify(entries) });

const whyAway = 'm1 is turned away: agent 7.7.7 speaks 3 to 4: upgrade the region.';

test('a site whose agent is turned away says so at once, also one that never connected', async () => {
  const { clock, liveness, judge, leases, renew } = region();
  await clock.advance(secondMs);
  const before = leases.get('a');
  const at = clock.now();
  leases.set('a', annotated(before, [turnedAway('m1', 'boot', at)]));
  const { status, reason, message, recheckMs } = judge('a');
  assert.deepEqual([status, reason], ['False', 'VersionMismatch']);
  assert.equal(message, `No agent of the site is connected. ${whyAway}`);
  assert.equal(recheckMs, 30 * 60 * secondMs + 50);
  const fresh = annotated(undefined, [turnedAway('m1', 'boot', at)]);
  assert.equal(liveness.judge('new', fresh, false).reason, 'VersionMismatch');
  await clock.advance(secondMs);
  renew('a');
  assert.equal(judge('a').reason, 'Connected', 'an accepted version renewed it');
});

test('a member that is turned away beside a connected one is named, and stands against nothing', () => {
  const { clock, judge, leases } = region();
  leases.set('a', annotated(leases.get('a'), [turnedAway('m1', 'other-boot', clock.now())]));
  const { status, message } = judge('a');
  assert.deepEqual([status, message], ['True', `An agent of the site is connected. ${whyAway}`]);
});

test('a refusal that no hub renewed for half an hour is over', async () => {
  const { clock, judge, leases, hub } = region();
  leases.set(
    'a',
    annotated({ ...leases.get('a')!, spec: {} }, [turnedAway('m1', 'b', clock.now())]),
  );
  assert.equal(judge('a').reason, 'VersionMismatch');
  for (let passed = 0; passed <= 30 * 60; passed += 20) {
    await clock.advance(20 * secondMs);
    hub();
  }
  assert.equal(judge('a').reason, 'SiteUnreachable');
});

test('a site that was connected when the operator ended has a minute to come back', async () => {
  const { clock, leases } = region();
  await clock.advance(91 * secondMs);
  const next = new Liveness({ clock, onMassLoss: () => undefined });
  const hub = (): void =>
    next.observe(
      aLease('hub-1', { holderIdentity: 'h', leaseDurationSeconds: 90, renewTime: at(clock) }),
    );
  hub();
  const lease = leases.get('a');
  assert.ok(lease);
  next.observe(lease);
  assert.equal(next.judge('a', lease, true).reason, 'HubUnavailable');
  await clock.advance(61 * secondMs);
  assert.equal(next.judge('a', lease, true).reason, 'SiteUnreachable');
});

test('an operator that starts judges a Lease by its age', async () => {
  const { clock, leases } = region();
  await clock.advance(91 * secondMs);
  const next = new Liveness({ clock, onMassLoss: () => undefined });
  next.observe(
    aLease('hub-1', { holderIdentity: 'hub-1', leaseDurationSeconds: 30, renewTime: at(clock) }),
  );
  const lease = leases.get('a');
  assert.ok(lease);
  next.observe(lease);
  assert.equal(next.judge('a', lease, false).reason, 'SiteUnreachable');
});
