/** A stream of JSON values, one a line, as the engine sends events; a line longer than 1 MiB ends it. */
import { ProtocolError } from '@cloudlet/runtime/base';
import type { Readable } from 'node:stream';

const maxLine = 1024 * 1024;

export async function* jsonLines(stream: Readable): AsyncGenerator<unknown, void> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxLine) throw new ProtocolError(`a line of ${rest.length} characters`);
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as unknown;
  }
}
