/**
 * What the repository's documents consist of: fenced blocks, code spans, links and headings, each with its line.
 *
 * Guarantees: a fence takes everything up to its end, so nothing in it is taken for a heading or a link; a block
 * that is indented instead of fenced is found too, for it has no language. Nested lists, reference links and
 * HTML are not read: no document here has them.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../testbed/index.ts';

export interface Block {
  /** Path of its document from the repository's root. */
  readonly file: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  /** First word behind the fence; empty where there is none. */
  readonly language: string;
  /** Words behind the language: `file=shop.yaml` by name, others with an empty value. */
  readonly settings: Readonly<Record<string, string>>;
  readonly text: string;
}

/** A span of code or the target of a link. */
export interface Mention {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

export interface Document {
  readonly path: string;
  readonly blocks: readonly Block[];
  readonly spans: readonly Mention[];
  readonly links: readonly Mention[];
  /** Names under which its headings are reached. */
  readonly anchors: ReadonlySet<string>;
}

/** Every document of the repository, in order. */
export function readDocuments(): readonly Document[] {
  const isForeign = (path: string): boolean => /(^|\/)(node_modules|dist)$/.test(path);
  const paths = globSync('**/*.md', { cwd: repositoryRoot, exclude: isForeign }).sort();
  return paths.map((path) => parseDocument(path, readFileSync(join(repositoryRoot, path), 'utf8')));
}

export function parseDocument(path: string, text: string): Document {
  const { blocks, prose } = split(path, text.split('\n'));
  const headings = prose.filter(({ text: line }) => /^#{1,6} /.test(line));
  return {
    ...{ path, blocks },
    spans: prose.flatMap(spansIn),
    links: prose.flatMap(linksIn),
    anchors: anchorsOf(headings.map(({ text: line }) => line.replace(/^#+ +/, ''))),
  };
}

const fence = /^(\s*)(`{3,}|~{3,})\s*(.*)$/;

function split(
  file: string,
  lines: readonly string[],
): { readonly blocks: readonly Block[]; readonly prose: readonly Mention[] } {
  const blocks: Block[] = [];
  const prose: Mention[] = [];
  for (let index = 0; index < lines.length; index++) {
    const text = lines[index] ?? '';
    const [, indent = '', marks = '', info = ''] = fence.exec(text) ?? [];
    if (marks === '' && !isIndented(lines, index)) {
      prose.push({ file, line: index + 1, text });
      continue;
    }
    const end = marks === '' ? endOfIndented(lines, index) : endOfFence(lines, index, marks);
    const content = lines.slice(marks === '' ? index : index + 1, end);
    const depth = marks === '' ? 4 : indent.length;
    const [language = '', ...words] = info.split(/\s+/);
    blocks.push({
      ...{ file, line: index + 1, language, settings: settingsOf(words) },
      text: content.map((each) => each.slice(Math.min(depth, leading(each)))).join('\n'),
    });
    index = marks === '' ? end - 1 : end;
  }
  return { blocks, prose };
}

const leading = (line: string): number => line.length - line.trimStart().length;

/** Markdown's other form of a block: four spaces behind an empty line, and no item of a list above it. */
function isIndented(lines: readonly string[], index: number): boolean {
  const before = lines.slice(0, index).findLast((line) => line.trim() !== '') ?? '';
  return (
    /^ {4}\S/.test(lines[index] ?? '') &&
    (lines[index - 1] ?? '').trim() === '' &&
    !/^\s*([-*+]|\d+\.) /.test(before)
  );
}

function endOfIndented(lines: readonly string[], from: number): number {
  const end = lines.findIndex((line, index) => index > from && !/^( {4}|\s*$)/.test(line));
  return end < 0 ? lines.length : end;
}

function endOfFence(lines: readonly string[], from: number, marks: string): number {
  const isEnd = (line: string): boolean =>
    line.trim().startsWith(marks) && line.trim().replaceAll(marks.charAt(0), '') === '';
  const end = lines.findIndex((line, index) => index > from && isEnd(line));
  return end < 0 ? lines.length : end;
}

function settingsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const [name = '', ...value] = word.split('=');
      return [name, value.join('=')];
    }),
  );
}

const span = /(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)/g;

const spansIn = ({ file, line, text }: Mention): Mention[] =>
  [...text.matchAll(span)].map(([, , code = '']) => ({ file, line, text: code.trim() }));

const linksIn = ({ file, line, text }: Mention): Mention[] =>
  [...text.replaceAll(span, '').matchAll(/\]\(<?([^)>\s]+)>?(?: "[^"]*")?\)/g)].map(
    ([, target = '']) => ({ file, line, text: target }),
  );

/** As the places where repositories are shown make them of headings; the second of a name gets `-1`. */
function anchorsOf(headings: readonly string[]): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const heading of headings) {
    const shown = heading.replaceAll('`', '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const base = shown
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    let name = base;
    for (let again = 1; anchors.has(name); again++) name = `${base}-${again}`;
    anchors.add(name);
  }
  return anchors;
}
