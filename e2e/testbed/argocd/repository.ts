/**
 * A git repository in a folder, for who reads it by file://. A commit is a change of files on disk.
 *
 * Guarantees: nothing of this user's git configuration is read; what a commit says is what the folder holds.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';

export interface GitRepository {
  readonly url: string;
  /** Hash of the newest commit. */
  readonly head: string;
  read(path: string): string;
  /** Changes files, or takes them away, and commits. */
  commit(subject: string, change: (files: GitFiles) => void): Promise<void>;
}

export interface GitFiles {
  write(path: string, content: string): void;
  /** Replaces text that must be there. */
  replace(path: string, text: string, by: string): void;
  remove(path: string): void;
}

/** A repository with one branch `main`, whose first commit is `source`, with each text replaced. */
export async function makeRepository(
  dir: string,
  source: string,
  adapt: (files: GitFiles) => void,
): Promise<GitRepository> {
  cpSync(source, dir, { recursive: true });
  const git = (...args: readonly string[]) =>
    runCommand('git', ['-C', dir, '-c', 'user.name=e2e', '-c', 'user.email=e2e@example', ...args], {
      env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
      timeoutMs: 30_000,
    });
  const files: GitFiles = {
    write: (path, content) => writeFileSync(join(dir, path), content),
    replace(path, text, by) {
      const before = readFileSync(join(dir, path), 'utf8');
      if (!before.includes(text)) throw new Error(`${path} does not hold: ${text}`);
      writeFileSync(join(dir, path), before.replaceAll(text, by));
    },
    remove: (path) => rmSync(join(dir, path), { recursive: true }),
  };
  let head = '';
  const commit: GitRepository['commit'] = async (subject, change) => {
    change(files);
    await git('add', '--all');
    await git('commit', '--quiet', '--message', subject);
    head = (await git('rev-parse', 'HEAD')).stdout.trim();
  };
  await git('init', '--quiet', '--initial-branch', 'main');
  await commit('Describe the regions', adapt);
  return {
    url: `file://${dir}`,
    get head() {
      return head;
    },
    read: (path) => readFileSync(join(dir, path), 'utf8'),
    commit,
  };
}
