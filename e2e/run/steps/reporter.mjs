/**
 * What one file of node:test says, as JSON lines: a test that passed, failed or was left out. Suites are left
 * out of it, unless they fail without a failed test in them, or by a hook: then the suite holds the reason and
 * its tests say no more than that they were cancelled. Plain JavaScript: Node loads reporters itself.
 */
import { inspect } from 'node:util';

export default async function* report(source) {
  let failures = 0;
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { name, skip, todo, details } = data;
    const isSuite = details.type === 'suite';
    if (skip !== undefined) {
      yield line({
        result: 'skipped',
        name,
        reason: skip === true || skip === '' ? 'no reason given' : skip,
      });
    } else if (todo !== undefined) {
      yield line({ result: 'skipped', name, reason: 'to do' });
    } else if (type === 'test:pass') {
      if (!isSuite) yield line({ result: 'passed', name });
    } else if (!isSuite || failures === 0 || details.error?.failureType === 'hookFailed') {
      failures++;
      const cause = details.error?.cause ?? details.error;
      yield line({ result: 'failed', name, error: inspect(cause, { depth: 6 }).slice(0, 8_000) });
    }
  }
}

const line = (record) => `${JSON.stringify(record)}\n`;
