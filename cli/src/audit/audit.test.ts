import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditTable } from '../commands/audit.ts';
import { changesBetween, fieldsNamed } from './changes.ts';
import { parseAuditLine } from './event.ts';
import { type Entry, Journal } from './journal.ts';

let id = 0;

/** A line as the API server writes it. */
const line = (more: Record<string, unknown>): string =>
  JSON.stringify({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'RequestResponse',
    auditID: `id-${id++}`,
    stage: 'ResponseComplete',
    requestURI: '/apis/edge.cloudlet.dev/v1alpha1/cloudlets/berlin',
    verb: 'patch',
    user: { username: 'jane', groups: ['system:authenticated'] },
    sourceIPs: ['10.0.0.4'],
    objectRef: {
      ...{ resource: 'cloudlets', name: 'berlin', apiGroup: 'edge.cloudlet.dev' },
      apiVersion: 'v1alpha1',
    },
    responseStatus: { metadata: {}, code: 200 },
    requestReceivedTimestamp: '2026-01-02T10:00:00.000000Z',
    stageTimestamp: '2026-01-02T10:00:00.010000Z',
    ...more,
  });

function journalOf(...lines: readonly string[]): readonly Entry[] {
  const journal = new Journal();
  for (const text of lines) {
    const event = parseAuditLine(text);
    if (event) journal.add(event);
  }
  return journal.entries();
}

const berlin = (spec: object, metadata: object = {}) => ({
  metadata: { name: 'berlin', ...metadata },
  spec: { operator: 'campus', ...spec },
});

test('a change whose object the log knows is told field by field, with the values', () => {
  const [first, second] = journalOf(
    line({ verb: 'update', responseObject: berlin({ maintenance: 'Normal' }) }),
    line({
      requestObject: { spec: { maintenance: 'Drain' } },
      responseObject: berlin({ maintenance: 'Drain' }, { labels: { a: 'b' } }),
    }),
  );
  assert.deepEqual([first?.isCompared, first?.changes], [false, []]);
  assert.deepEqual(second?.changes, [
    { field: 'spec.maintenance', from: 'Normal', to: 'Drain' },
    { field: 'metadata.labels.a', to: 'b' },
  ]);
  assert.equal(second?.operator, 'campus');
});

test('a patch of an object that the log does not know is told by what it named', () => {
  const [entry] = journalOf(
    line({ requestObject: { metadata: { name: 'berlin' }, spec: { revoked: true } } }),
  );
  assert.deepEqual(entry?.changes, [{ field: 'spec.revoked', to: 'true' }]);
  assert.equal(
    auditTable([entry]).split('\n')[1],
    '2026-01-02T10:00:00Z   jane   patch    Cloudlet berlin   ok       sent spec.revoked=true',
  );
  assert.deepEqual(fieldsNamed([{ op: 'replace', path: '/spec/zoneRef/name', value: 'x' }]), [
    { field: 'spec.zoneRef.name' },
  ]);
});

test('values of variables, programs and files are never told', () => {
  const changes = changesBetween(
    { spec: { env: [{ name: 'A', value: 'old' }] }, metadata: { annotations: { n: 'x' } } },
    {
      spec: { env: [{ name: 'A', value: 'hush' }], command: 'hush', image: 'web:2' },
      metadata: { annotations: { n: 'hush' } },
    },
  );
  assert.deepEqual(changes, [
    { field: 'spec.env' },
    { field: 'spec.command' },
    { field: 'spec.image', to: 'web:2' },
    { field: 'metadata.annotations.n' },
  ]);
});

const exec = (auditID: string, stage: string, more: object = {}): string =>
  line({
    auditID,
    stage,
    verb: 'get',
    requestURI:
      '/apis/access.edge.cloudlet.dev/v1alpha1/namespaces/shop/appinsts/web/exec?command=mysql&command=-phush&stdin=true',
    objectRef: {
      ...{ resource: 'appinsts', namespace: 'shop', name: 'web', subresource: 'exec' },
      apiGroup: 'access.edge.cloudlet.dev',
    },
    responseStatus: undefined,
    ...more,
  });

test('a session is one entry with its program and length, and open until it ends', () => {
  const opening = [exec('s', 'RequestReceived'), exec('s', 'ResponseStarted')];
  const [open] = journalOf(...opening);
  assert.deepEqual(
    [open?.action, open?.verb, open?.object, open?.code, open?.program],
    ['Opened', 'exec', 'AppInst shop/web', 0, 'mysql'],
  );
  const end = { stageTimestamp: '2026-01-02T10:01:30Z', responseStatus: { code: 101 } };
  const ended = journalOf(...opening, exec('s', 'ResponseComplete', end));
  assert.deepEqual(
    ended.map(({ code, seconds }) => [code, seconds]),
    [[101, 90]],
  );
  const table = auditTable([...ended, open as Entry]);
  assert.match(table, /opened exec +AppInst shop\/web +ok +mysql for 90 s\n/);
  assert.match(table, / open +mysql\n$/);
  assert.ok(!table.includes('hush'));
});

test('what was refused, who acted as whom and who read a Secret is told', () => {
  const table = auditTable(
    journalOf(
      line({ verb: 'delete', responseStatus: { code: 403 } }),
      line({ verb: 'create', user: { username: 'root' }, impersonatedUser: { username: 'jane' } }),
      line({
        verb: 'get',
        objectRef: {
          ...{ resource: 'secrets', namespace: 'cloudlet-system', name: 'join-berlin' },
          apiGroup: '',
        },
      }),
    ),
  );
  assert.match(table, /jane +delete +Cloudlet berlin +refused \(403\)/);
  assert.match(table, /jane \(by root\) +create +Cloudlet berlin +ok/);
  assert.match(table, /jane +get +Secret cloudlet-system\/join-berlin +ok/);
});

test('reads of our kinds, others objects and lines that are no events are passed over', () => {
  const entries = journalOf(
    'half a line"}',
    '{"kind":"Event"}',
    line({ verb: 'list' }),
    line({ objectRef: { resource: 'secrets', namespace: 'shop', name: 'x', apiGroup: '' } }),
    line({ stage: 'RequestReceived' }),
  );
  assert.deepEqual(entries, []);
});
