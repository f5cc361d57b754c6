import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { demux } from './demux.ts';

function frame(stream: number, body: string): Buffer {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(Buffer.byteLength(body), 4);
  return Buffer.concat([head, Buffer.from(body)]);
}

test('output and error output are told apart however the chunks are cut', async () => {
  const all = Buffer.concat([frame(1, 'one '), frame(2, 'oops'), frame(1, ''), frame(1, 'two')]);
  for (const size of [1, 3, 7, 8, 9, all.length]) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < all.length; at += size) chunks.push(all.subarray(at, at + size));
    const { stdout, stderr } = demux(Readable.from(chunks));
    assert.deepEqual(await Promise.all([text(stdout), text(stderr)]), ['one two', 'oops']);
  }
});

test('a reader that stands still holds the source', async () => {
  const source = new PassThrough({ highWaterMark: 1024 });
  const { stdout } = demux(source);
  let written = 0;
  while (source.write(frame(1, 'x'.repeat(1000))) && written < 10_000) {
    written++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(written < 500, `${written} chunks of 1000 bytes were taken`);
  stdout.destroy();
});

test('a frame of an unknown stream is an error', async () => {
  const { stdout } = demux(Readable.from([frame(9, 'x')]));
  await assert.rejects(text(stdout), /stream 9/);
});
