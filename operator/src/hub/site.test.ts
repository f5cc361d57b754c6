import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import { Site } from './site.ts';
import { SiteStream } from './stream.ts';
import { RecordingLink } from './testing.ts';

function aSite(holder: () => string | undefined = () => undefined) {
  const clock = new FakeClock();
  const said: string[] = [];
  const site = new Site({
    name: 'north',
    clock,
    logger: silentLogger,
    onActing: (link) => void said.push(`acts ${link.hello.boot}`),
    onStoodDown: (boot) => void said.push(`stood down ${boot}`),
    onLost: (boot) => void said.push(`lost ${boot}`),
    onEmpty: () => void said.push('empty'),
    holder,
  });
  const add = (link: RecordingLink): RecordingLink => {
    const stream = new SiteStream({
      link,
      idsOf: () => [],
      orderOf: () => ({ kind: 'unknown' }),
      isOnRecord: () => false,
      onRemoved: () => undefined,
      onAhead: () => undefined,
      onSent: () => undefined,
    });
    site.add(link, stream);
    return link;
  };
  return { site, clock, said, add };
}

test('the active member acts; a warm one does not', () => {
  const { site, said, add } = aSite();
  add(new RecordingLink({ boot: 'warm', active: false }));
  const active = add(new RecordingLink({ boot: 'a' }));
  assert.equal(site.acting, active);
  assert.deepEqual(said, ['acts a']);
});

test('a member that takes over acts at once; the one that stood down is told apart from a dead one', () => {
  const { site, said, add } = aSite();
  const a = add(new RecordingLink({ boot: 'a' }));
  const b = add(new RecordingLink({ boot: 'b', active: false }));
  a.active = false;
  site.roleChanged(a);
  b.active = true;
  site.roleChanged(b);
  assert.equal(site.acting, b);
  assert.deepEqual(said, ['acts a', 'stood down a', 'acts b']);
});

test('an agent that redials within the grace keeps its site; then it is lost', async () => {
  const { clock, said, add } = aSite();
  add(new RecordingLink({ boot: 'a' })).end();
  await clock.advance(3_000);
  const again = add(new RecordingLink({ boot: 'a' }));
  await clock.advance(60_000);
  assert.deepEqual(said, ['acts a', 'acts a']);
  again.end();
  await clock.advance(4_000);
  assert.deepEqual(said.slice(2), ['lost a', 'empty']);
});

test('an agent that was started again has the time of a take-over to see its platform', async () => {
  const { site, clock, said, add } = aSite();
  add(new RecordingLink({ boot: 'a' })).end();
  await clock.advance(3_000);
  const again = add(new RecordingLink({ boot: 'b', active: false }));
  await clock.advance(3_000);
  again.active = true;
  site.roleChanged(again);
  await clock.advance(60_000);
  assert.deepEqual(said, ['acts a', 'stood down a', 'acts b']);
});

test('while another member is connected a take-over has 20 s before the site is lost', async () => {
  const { clock, said, add } = aSite();
  const warm = add(new RecordingLink({ boot: 'b', active: false }));
  add(new RecordingLink({ boot: 'a' })).end();
  await clock.advance(19_000);
  assert.deepEqual(said, ['acts a']);
  await clock.advance(1_000);
  assert.deepEqual(said, ['acts a', 'lost a']);
  warm.end();
  await clock.advance(20_000);
  assert.deepEqual(said, ['acts a', 'lost a', 'empty']);
});

test('two members that both say they act claim the site in turn', () => {
  const { site, said, add } = aSite();
  const a = add(new RecordingLink({ boot: 'a' }));
  const b = add(new RecordingLink({ boot: 'b' }));
  site.alive(a);
  site.alive(b);
  assert.deepEqual(said, ['acts a', 'acts b', 'acts a', 'acts b']);
});

test('a warm member that lives claims nothing', () => {
  const { site, said, add } = aSite();
  site.alive(add(new RecordingLink({ boot: 'b', active: false })));
  assert.deepEqual(said, []);
});

/** As an agent that does what it is asked. */
function obeys(site: Site, link: RecordingLink): void {
  link.active = link.sent.at(-1) === 'deputize true';
  site.roleChanged(link);
}

test('when no member acts another one is asked to, and its taking the Lease is no contest', async () => {
  const { site, clock, said, add } = aSite(() => 'a');
  const b = add(new RecordingLink({ boot: 'b', active: false }));
  add(new RecordingLink({ boot: 'a' })).end();
  await clock.advance(4_900);
  assert.deepEqual(b.sent, [], 'an agent that restarts is waited for');
  await clock.advance(100);
  assert.deepEqual(b.sent, ['deputize true']);
  obeys(site, b);
  assert.equal(site.acting, b);
  assert.deepEqual(said, ['acts a', 'stood down a', 'acts b']);
  await clock.advance(60_000);
  assert.deepEqual(b.sent, ['deputize true'], 'it is asked once');
});

test('a deputy gives way to a member that acts by its own right', async () => {
  const { site, clock, said, add } = aSite();
  const b = add(new RecordingLink({ boot: 'b', active: false }));
  await clock.advance(5_000);
  obeys(site, b);
  const a = add(new RecordingLink({ boot: 'a' }));
  assert.equal(b.sent.at(-1), 'deputize false');
  obeys(site, b);
  assert.equal(site.acting, a);
  assert.deepEqual(said, ['acts b', 'stood down b', 'acts a']);
});

test('a member that does not act when asked is passed over', async () => {
  const { clock, add } = aSite();
  const b = add(new RecordingLink({ boot: 'b', active: false }));
  const c = add(new RecordingLink({ boot: 'c', active: false }));
  await clock.advance(10_000);
  assert.deepEqual(b.sent, ['deputize true', 'deputize false']);
  assert.deepEqual(c.sent, ['deputize true']);
  await clock.advance(5_000);
  assert.deepEqual(b.sent.at(-1), 'deputize true', 'its turn comes again');
});

test('nobody is asked while another replica has the member that acts, and a deputy learns of it', async () => {
  let holder: string | undefined = 'elsewhere';
  const { site, clock, said, add } = aSite(() => holder);
  const b = add(new RecordingLink({ boot: 'b', active: false }));
  await clock.advance(30_000);
  assert.deepEqual(b.sent, []);
  holder = undefined;
  await clock.advance(5_000);
  obeys(site, b);
  assert.equal(site.acting, b);
  holder = 'elsewhere';
  site.alive(b);
  assert.equal(b.sent.at(-1), 'deputize false');
  assert.deepEqual(said, ['acts b', 'stood down b']);
});
