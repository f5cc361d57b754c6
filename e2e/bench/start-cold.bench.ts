/**
 * What a newcomer waits for: a fresh clone with empty caches of the repository, of Go and of npm, so that
 * everything is downloaded and built. Debian packages that are installed stay so.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';
import { repositoryRoot } from '../testbed/index.ts';
import type { Bench, BenchResult } from './contract.ts';
import { startSeconds } from './start-seconds.ts';

export const bench: Bench = {
  prefix: 'start.cold',
  needs: [],
  whenAsked: true,
  async run({ dir, signal, progress }): Promise<BenchResult> {
    const clone = join(dir, 'clone');
    await runCommand('git', ['clone', '--quiet', repositoryRoot, clone], { signal });
    const folder = (name: string): string => {
      mkdirSync(join(dir, name), { recursive: true });
      return join(dir, name);
    };
    const env = {
      CLOUDLET_CACHE_DIR: folder('cache'),
      GOCACHE: folder('go-build'),
      GOMODCACHE: folder('go-mod'),
      // Or else the modules could not be removed by anybody but root.
      GOFLAGS: `${process.env['GOFLAGS'] ?? ''} -modcacherw`.trim(),
      npm_config_cache: folder('npm'),
    };
    progress('a fresh clone with empty caches: this takes minutes');
    const seconds = await startSeconds({ cwd: clone, env, timeoutMs: 60 * 60_000, signal });
    return { figures: { seconds } };
  },
};
