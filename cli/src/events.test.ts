import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupVersion } from '@cloudlet/crds';
import { aCloudlet, anAppInst } from '@cloudlet/operator/testing';
import { topInstances, topSites } from './commands/top.ts';
import { byTime, type EventObject, eventTable, isAsked } from './events.ts';

const anEvent = (
  time: string,
  regarding: { kind: string; name: string; namespace?: string },
  more: Partial<EventObject> = {},
): EventObject => ({
  metadata: { name: `${regarding.name}.1` },
  ...{ type: 'Normal', reason: 'Placed', note: 'At edge1.', eventTime: time },
  regarding: { apiVersion: groupVersion, ...regarding },
  ...more,
});

const web = { kind: 'AppInst', name: 'web', namespace: 'shop' };
const none = { objects: new Set<string>() };

test('events are of our kinds, of an organization, of a site and of a time as asked', () => {
  const event = anEvent('2026-01-01T10:00:00Z', web);
  const since = Date.parse('2026-01-01T10:00:01Z');
  assert.ok(isAsked(event, {}, none));
  assert.ok(!isAsked({ ...event, regarding: { apiVersion: 'v1', kind: 'Pod' } }, {}, none));
  assert.ok(!isAsked(event, { since }, none));
  assert.ok(isAsked(event, { organization: 'shop' }, none));
  assert.ok(!isAsked(event, { organization: 'bank' }, none));
  const site = anEvent('2026-01-01T10:00:00Z', { kind: 'Cloudlet', name: 'edge1' });
  const runs = { objects: new Set(['organization Cloudlet edge1', 'cloudlet AppInst shop/web']) };
  assert.ok(isAsked(site, { organization: 'campus' }, runs));
  assert.ok(isAsked(event, { cloudlet: 'edge1' }, runs));
  assert.ok(!isAsked(event, { cloudlet: 'edge2' }, none));
});

test('a series counts, at the time when it was last seen, and the oldest come first', () => {
  const series = { count: 4, lastObservedTime: '2026-01-01T11:00:00.000000Z' };
  const events = [
    anEvent('2026-01-01T10:00:00Z', web, { series }),
    anEvent('2026-01-01T10:30:00Z', { kind: 'Cloudlet', name: 'edge1' }),
  ].sort(byTime);
  const now = Date.parse('2026-01-01T11:00:30Z');
  assert.deepEqual(eventTable(events, now).split('\n'), [
    'SEEN   TYPE     REASON   OBJECT             WHAT',
    '30m    Normal   Placed   Cloudlet edge1     At edge1.',
    '30s    Normal   Placed   AppInst shop/web   At edge1. (4 times)',
    '',
  ]);
});

test('top shows what is reserved of the lower bound, the fullest site and the largest instance first', () => {
  const site = (name: string, cpuMillis: number) =>
    aCloudlet({
      name,
      spec: { resourceQuotas: [{ name: 'vcpus', value: '2' }] },
      status: {
        allocated: { instances: 2, cpuMillis, memoryBytes: 2 ** 29 },
        site: {
          ...{ uid: '', boot: '', sequence: 1 },
          capacity: { cpuMillis: 8000, memoryBytes: 2 ** 30 },
          nodes: [{ name: 'a', role: 'Manager', state: 'Ready' }],
        },
      },
    });
  assert.deepEqual(
    topSites([site('a', 500), site('b', 1500)], [])
      .split('\n')
      .slice(1),
    [
      'b      1500m of 2 (75%)   512Mi of 1Gi (50%)   2           0 of 10000   1',
      'a      500m of 2 (25%)    512Mi of 1Gi (50%)   2           0 of 10000   1',
      '',
    ],
  );
  const instance = (name: string, replicas: number) =>
    anAppInst({
      name,
      spec: { replicas },
      status: {
        placement: { cloudlet: 'b', sequence: 1 },
        rollout: {
          ...{ revision: 'r', sequence: 1, generation: 1 },
          resources: { cpuMillis: 250, memoryBytes: 2 ** 26 },
        },
        instances: [{ name: 'x', state: 'running', restarts: 3 }],
      },
    });
  const lines = topInstances([instance('one', 1), instance('two', 2)]).split('\n');
  assert.match(lines[1] ?? '', /^shop +two +b +500m +128Mi +1\/1 +3$/);
  assert.match(lines[2] ?? '', /^shop +one +b +250m +64Mi +1\/1 +3$/);
});
