/** kind's own image of a node, where images can be pulled. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '@cloudlet/runtime/base';
import type { Progress } from '../testbed/index.ts';
import { moduleFolder } from '../testbed/helm/schemas.ts';
import type { Engine } from './engine.ts';
import { versionOf } from './programs.ts';

/**
 * The image that this version of kind was made for, pulled; undefined where it cannot be, or where the engine
 * is one that was started for want of the user's: such a machine is not asked to reach a registry.
 */
export async function wantedNodeImage(
  engine: Engine,
  progress: Progress,
): Promise<string | undefined> {
  if (!engine.isUsers) return undefined;
  const name = await imageOfKind();
  if (await engine.hasImage(name)) return name;
  progress(`pulling ${name}`);
  try {
    await engine.docker(['pull', '--quiet', name], { timeoutMs: 15 * 60_000 });
    return name;
  } catch (error) {
    const [reason = ''] = describeError(error).split('\n').slice(-1);
    progress(`it cannot be pulled (${reason}): making a node image instead`);
    return undefined;
  }
}

/** As its source says. */
async function imageOfKind(): Promise<string> {
  const module = 'sigs.k8s.io/kind';
  const folder = await moduleFolder(`${module}@${versionOf('kind', module)}`);
  const source = readFileSync(join(folder, 'pkg/apis/config/defaults/image.go'), 'utf8');
  const image = /^const Image = "([^"]+)"$/m.exec(source)?.[1];
  if (image === undefined) throw new Error(`${module} names no image of a node`);
  return image;
}
