/**
 * The accept and reject fixtures of `crds/testdata`: the same files go through zod here and through the real
 * API server in `e2e/scenarios`, and both must agree. For tests only.
 */
import { readdir, readFile } from 'node:fs/promises';
import { parse } from 'yaml';

export interface Fixture {
  readonly name: string;
  readonly object: { readonly kind: string; readonly metadata: { readonly name: string } };
  /** Reject fixtures: the field that the refusal must name. */
  readonly field?: string;
  /** Reject fixtures: a part of the sentence; absent where the wording is the API server's own. */
  readonly expect?: string;
}

export async function fixtures(verdict: 'accept' | 'reject'): Promise<readonly Fixture[]> {
  const folder = new URL(`../testdata/${verdict}/`, import.meta.url);
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const content = await readFile(new URL(name, folder), 'utf8');
      const field = /^# field: (.*)$/m.exec(content)?.[1];
      const expect = /^# expect: (.*)$/m.exec(content)?.[1];
      return {
        name: name.replace('.yaml', ''),
        object: parse(content) as Fixture['object'],
        ...(field ? { field } : {}),
        ...(expect && expect !== '-' ? { expect } : {}),
      };
    }),
  );
}
