/** Prometheus' own parser, built from its Go module, as a judge of the expressions that we ship. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';
import { buildGo, moduleHash } from '../binaries.ts';
import { cacheDir } from '../host.ts';
import { noProgress, type Progress } from '../progress.ts';

/** @returns what is wrong with each expression that Prometheus would refuse. */
export async function promqlMistakes(
  expressions: readonly string[],
  progress: Progress = noProgress,
): Promise<readonly string[]> {
  const source = import.meta.dirname;
  const program = readFileSync(join(source, 'main.go'));
  const hash = createHash('sha256').update(program).digest('hex').slice(0, 8);
  const binary = cacheDir('bin', `${moduleHash(source)}-${hash}`, 'promql');
  if (!existsSync(binary)) await buildGo({ name: 'promql', source, path: '.', binary, progress });
  const { stdout } = await runCommand(binary, [], { input: expressions.join('\n'), allow: [1] });
  return stdout.split('\n').filter((line) => line !== '');
}
