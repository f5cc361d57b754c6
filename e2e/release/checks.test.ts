/** What a release asks of the changelog. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changelogProblems } from './checks.ts';

const changelog = `# Changelog

## [Unreleased]

- Something new.

## [1.1.0] - 2026-01-31

## [1.0.0] - 2026-01-01

- The first.
`;

test('a version needs a dated section that says something', () => {
  assert.deepEqual(changelogProblems(changelog, '1.0.0'), []);
  assert.deepEqual(changelogProblems(changelog, '1.1.0'), ['CHANGELOG.md says nothing of 1.1.0']);
  assert.match(changelogProblems(changelog, '2.0.0')[0] ?? '', /no section \[2\.0\.0\]/);
  assert.match(changelogProblems(changelog, '1.0')[0] ?? '', /no section \[1\.0\]/);
});
