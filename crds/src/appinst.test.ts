/** What a site may say of an instance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appInstSite, maxReportedPlacement } from './appinst.ts';

test('a site cannot claim a sequence that leaves the ledger none to give', () => {
  const report = { uid: 'u', boot: 'b', sequence: 1 };
  const accepts = (placement: number): boolean =>
    appInstSite.safeParse({ ...report, placement }).success;
  assert.ok(accepts(maxReportedPlacement));
  assert.ok(!accepts(maxReportedPlacement + 1));
  assert.ok(!accepts(Number.MAX_SAFE_INTEGER));
});
