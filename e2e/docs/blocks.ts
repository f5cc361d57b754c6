/**
 * What happens to each fenced block of a document; CONTRIBUTING.md tells it to those who write them.
 *
 * Guarantees: a block has exactly one treatment, or a sentence that says why it has none and what to do.
 */
import { parseAllDocuments } from 'yaml';
import { apiGroup } from '@cloudlet/crds';
import { TerminalError } from '@cloudlet/runtime/base';
import type { Block, Document } from './markdown.ts';
import { type Pipeline, pipelinesOf } from './shell.ts';

export type Treatment =
  /** Each command is looked up, and those of `kubectl` are run. */
  | { readonly kind: 'Commands'; readonly pipelines: readonly Pipeline[] }
  /** Objects of ours: an API server is asked whether it would take them. */
  | { readonly kind: 'Objects' }
  /** A file that commands of the same page read. */
  | { readonly kind: 'File' }
  /** Flux's `healthCheckExprs`: an API server evaluates the expressions on objects. */
  | { readonly kind: 'HealthChecks' }
  /** What the commands of the block before print: same heads, same number of columns. */
  | { readonly kind: 'Output' }
  | { readonly kind: 'Json' }
  /** Compiled against the packages of this repository. */
  | { readonly kind: 'TypeScript' }
  /** For looking at. */
  | { readonly kind: 'Picture' };

const languages = 'sh, yaml, json, ts, mermaid or text';

/** @throws TerminalError (`NoRule`) saying what to do, for a block that nothing would look at. */
export function treatmentOf(block: Block, page: Document): Treatment {
  switch (block.language) {
    case 'sh':
      return { kind: 'Commands', pipelines: pipelinesOf(block.text) };
    case 'yaml':
      return yamlTreatment(block, page);
    case 'json':
      return { kind: 'Json' };
    case 'ts':
      return { kind: 'TypeScript' };
    case 'text':
      return { kind: Object.hasOwn(block.settings, 'output') ? 'Output' : 'Picture' };
    case 'mermaid':
      return { kind: 'Picture' };
    case '':
      return noRule(
        `a block without a language: fence it, and write ${languages} behind the fence`,
      );
    default:
      return noRule(`nobody looks at '${block.language}': write ${languages}, or add a rule`);
  }
}

function yamlTreatment(block: Block, page: Document): Treatment {
  const objects = parseAllDocuments(block.text, { strict: true });
  const [mistake] = objects.flatMap(({ errors }) => errors);
  if (mistake) return noRule(mistake.message);
  const contents = objects.map((object) => object.toJS() as Readonly<Record<string, unknown>>);
  const isOurs = ({ apiVersion }: Readonly<Record<string, unknown>>): boolean =>
    typeof apiVersion === 'string' && apiVersion.startsWith(`${apiGroup}/`);
  if (contents.length > 0 && contents.every(isOurs)) return { kind: 'Objects' };
  if (contents.some((content) => Object.hasOwn(content, 'healthCheckExprs')))
    return { kind: 'HealthChecks' };
  const { file } = block.settings;
  if (file === undefined)
    return noRule(
      'YAML that is no object of ours: give it to the commands of the page by file=NAME',
    );
  if (!readers(page).has(file)) return noRule(`no command of this page reads ${file}`);
  return { kind: 'File' };
}

/** Every word of the commands of a page. */
function readers(page: Document): ReadonlySet<string> {
  const blocks = page.blocks.filter(({ language }) => language === 'sh');
  const pipelines = blocks.flatMap(({ text }) => pipelinesOf(text));
  return new Set(pipelines.flatMap(({ commands }) => commands.flatMap(({ words }) => words)));
}

function noRule(message: string): never {
  throw new TerminalError('NoRule', message);
}

/** What is wrong with the place of a table in a text: undefined where it has the shape that a page shows. */
export function shapeMistake(shown: string, printed: string): string | undefined {
  const columns = (line: string): readonly string[] => line.trim().split(/ {2,}/);
  const isHead = (line: string): boolean => /^[A-Z][A-Z ]*$/.test(line.trim());
  const lines = printed.split('\n').map(columns);
  for (const line of shown.split('\n').filter((each) => each.trim() !== '')) {
    const wanted = columns(line);
    const isThere = isHead(line)
      ? lines.some((found) => found.join() === wanted.join())
      : lines.some((found) => found.length === wanted.length && found[0] === wanted[0]);
    if (!isThere)
      return `the page shows '${line.trim()}', which is not printed any more:\n${printed}`;
  }
  return undefined;
}
