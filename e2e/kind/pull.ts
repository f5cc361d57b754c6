/** kind's own image of a node, where images can be pulled. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../testbed/index.ts';
import { askForImage, type AskOptions, whyNoImage } from '../testbed/containers/pulling.ts';
import { moduleFolder } from '../testbed/helm/schemas.ts';
import type { Engine } from './engine.ts';
import { versionOf } from './programs.ts';

export interface WantedOptions extends Pick<AskOptions, 'timeoutMs' | 'signal'> {
  /** Says which image this version of kind was made for. @default what its source says */
  readonly imageOf?: () => Promise<string>;
}

/**
 * The image that this version of kind was made for, which the engine then has; undefined where it cannot be
 * pulled, or where the engine is one that was started for want of the user's: such a machine is not asked to
 * reach a registry.
 */
export async function wantedNodeImage(
  engine: Pick<Engine, 'isUsers' | 'docker' | 'hasImage'>,
  progress: Progress,
  { imageOf = imageOfKind, ...options }: WantedOptions = {},
): Promise<string | undefined> {
  if (!engine.isUsers) {
    progress("no Docker of yours answers: making a node image instead of pulling kind's own");
    return undefined;
  }
  const name = await imageOf();
  const onPull = (): void => progress(`pulling ${name}`);
  const reason = whyNoImage(await askForImage(engine, name, { ...options, onPull }));
  if (reason === undefined) return name;
  progress(`${reason}: making a node image instead`);
  return undefined;
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
