/**
 * `npm run generate`: writes every generated file of the repository. With `--check` it writes nothing and
 * fails, naming what is stale. Each room keeps its own generator, a file called generate.ts.
 */
import { glob } from 'node:fs/promises';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import { repositoryRoot } from '../testbed/index.ts';
import { runMain } from './steps/main.ts';

/** Handed on as they are: each generator looks at its own. */
const flagTable = {
  check: { type: 'boolean', description: 'Write nothing, and fail where a file is stale.' },
  record: { type: 'boolean', description: 'Take the kinds as they are for what is released.' },
} as const;

const usage = {
  call: 'npm run generate -- [flags]',
  summary: 'Writes every generated file of the repository.',
  flags: flagTable,
};

await runMain(usage, async ({ signal }) => {
  const rooms = '{crds,operator,agent,cli,charts}/**/generate.ts';
  const generators: string[] = [];
  const exclude = ['**/node_modules/**'];
  for await (const file of glob(rooms, { cwd: repositoryRoot, exclude })) generators.push(file);
  let code = 0;
  for (const generator of generators.sort()) {
    try {
      await runCommand(process.execPath, [generator, ...process.argv.slice(2)], {
        cwd: repositoryRoot,
        signal,
        onOutput: (chunk) => process.stdout.write(chunk),
      });
    } catch (error) {
      signal.throwIfAborted();
      process.stderr.write(`${generator}: ${describeError(error)}\n`);
      code = 1;
    }
  }
  return code;
});
