/**
 * The conversion against what `docker stack deploy` (28.2.2) was recorded to send for the same files, see
 * e2e/scenarios/compose/record.ts. e2e/scenarios/compose-equality.test.ts does the same on a real engine.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ComposeError } from './index.ts';
import { corpus, recorded } from './testdata/corpus.ts';
import { asRecorded, corpusPlan } from './testdata/recorded-plan.ts';

/** The tool reads `oom_score_adj` and forgets to send it; we send it. */
const forgottenByTool = new Set(['oom-score.yml']);

describe('a compose file is converted as docker stack deploy does', () => {
  for (const file of corpus('corpus'))
    test(file.name, () => {
      const { code, output: _, ...sent } = recorded('corpus', file.name);
      assert.equal(code, 0);
      const ours = JSON.parse(JSON.stringify(asRecorded(corpusPlan(file.text)))) as unknown;
      if (forgottenByTool.has(file.name)) assert.notDeepEqual(ours, sent);
      else assert.deepEqual(ours, sent);
    });
});

describe('what docker stack deploy warns of is warned of by us, with its path', () => {
  const warned = corpus('corpus').filter((file) => recorded('corpus', file.name).output !== '');
  for (const file of warned)
    test(file.name, () => {
      const { output } = recorded('corpus', file.name);
      const { warnings } = corpusPlan(file.text);
      for (const key of warnedKeys(output))
        assert.ok(
          warnings.some((warning) => warning.split(':')[0]?.endsWith(`.${key}`)),
          `${key} in ${warnings.join('\n')}`,
        );
    });

  test('addresses that are ignored and names that are old are told, too', () => {
    const address = corpusPlan(textOf('ports-short.yml')).warnings;
    assert.ok(address.some((warning) => /ports\[7\]: its address is ignored/.test(warning)));
  });
});

/** Keys in `Ignoring unsupported options: a, b` and in the list of deprecated ones. */
function warnedKeys(output: string): readonly string[] {
  const unsupported = /Ignoring unsupported options: (.*)/.exec(output)?.[1]?.split(', ') ?? [];
  const deprecated = [...output.matchAll(/^(container_name|expose): /gm)].map(
    ([, key]) => key ?? '',
  );
  return [...unsupported, ...deprecated.filter((key) => key !== 'expose')];
}

function textOf(name: string): string {
  return corpus('corpus').find((file) => file.name === name)?.text ?? '';
}

describe('what docker stack deploy refuses is refused by us, with its path', () => {
  for (const file of corpus('refused'))
    test(file.name, () => {
      assert.equal(recorded('refused', file.name).code, 1);
      assert.throws(
        () => corpusPlan(file.text),
        (error) => {
          assert.ok(error instanceof ComposeError);
          assert.ok(error.permanent && error.reason === 'InvalidCompose');
          const paths = error.mistakes.map(({ path }) => path);
          for (const path of file.expected)
            assert.ok(paths.includes(path), `${path} in ${error.message}`);
          if (file.expected.length > 0) assert.equal(paths.length, file.expected.length);
          return true;
        },
      );
    });
});
