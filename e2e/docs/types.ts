/** Compiles TypeScript of a document as if it were a file of this repository. */
import { join } from 'node:path';
import ts from 'typescript';
import { repositoryRoot } from '../testbed/index.ts';

/** @returns what the compiler says, with lines of the text. */
export function compilerMistakes(text: string): readonly string[] {
  const name = join(repositoryRoot, 'e2e', 'docs', 'block-of-a-document.ts');
  const config = ts.readConfigFile(join(repositoryRoot, 'tsconfig.json'), (path) =>
    ts.sys.readFile(path),
  );
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, repositoryRoot);
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (path) => path === name || disk.fileExists(path),
    readFile: (path) => (path === name ? text : disk.readFile(path)),
    getSourceFile: (path, language) =>
      path === name
        ? ts.createSourceFile(path, text, language)
        : disk.getSourceFile(path, language),
  };
  const program = ts.createProgram([name], options, host);
  const source = program.getSourceFile(name);
  const found = [
    ...program.getSyntacticDiagnostics(source),
    ...program.getSemanticDiagnostics(source),
  ];
  return found.map(({ messageText, start = 0 }) => {
    const line = text.slice(0, start).split('\n').length;
    return `line ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
