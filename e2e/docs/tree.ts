/** What a clone of the repository holds: not what is installed into it or built there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../testbed/index.ts';

/** As .gitignore names it. */
const isMade = (path: string): boolean => /(^|\/)(node_modules|dist)(\/|$)|\.log$/.test(path);

/** @param path from the repository's root. */
export const isInTree = (path: string): boolean =>
  !isMade(path) && existsSync(join(repositoryRoot, path));
