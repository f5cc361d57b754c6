/**
 * Leaves out of an ELF program what no loader reads: symbols, debugging information and the table of
 * sections, a seventh of Node's binary. What is loaded stays byte for byte.
 *
 * Works for programs of any machine, without its tools; refuses what is not a little-endian ELF.
 */
import { InvalidError } from '@cloudlet/runtime/base';

const loadable = 1;

interface Layout {
  readonly is64: boolean;
  readonly programHeaders: number;
  readonly entrySize: number;
  readonly entries: number;
}

/** @throws InvalidError for what is not a little-endian ELF program. */
export function trimExecutable(program: Buffer): Buffer {
  const { is64, programHeaders, entrySize, entries } = layoutOf(program);
  let end = programHeaders + entrySize * entries;
  for (let index = 0; index < entries; index++) {
    const at = programHeaders + index * entrySize;
    if (program.readUInt32LE(at) !== loadable) continue;
    const [offset, size] = is64
      ? [program.readBigUInt64LE(at + 8), program.readBigUInt64LE(at + 32)]
      : [program.readUInt32LE(at + 4), program.readUInt32LE(at + 16)];
    end = Math.max(end, Number(offset) + Number(size));
  }
  const trimmed = Buffer.from(program.subarray(0, end));
  forgetSections(trimmed, is64);
  return trimmed;
}

function layoutOf(program: Buffer): Layout {
  const isElf = program.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'));
  if (!isElf || program[5] !== 1) throw new InvalidError('not a little-endian ELF program');
  const is64 = program[4] === 2;
  return is64
    ? {
        is64,
        programHeaders: Number(program.readBigUInt64LE(32)),
        entrySize: program.readUInt16LE(54),
        entries: program.readUInt16LE(56),
      }
    : {
        is64,
        programHeaders: program.readUInt32LE(28),
        entrySize: program.readUInt16LE(42),
        entries: program.readUInt16LE(44),
      };
}

/** Their table was behind what is loaded. */
function forgetSections(program: Buffer, is64: boolean): void {
  if (is64) program.writeBigUInt64LE(0n, 40);
  else program.writeUInt32LE(0, 32);
  const [count, names] = is64 ? [60, 62] : [48, 50];
  program.writeUInt16LE(0, count);
  program.writeUInt16LE(0, names);
}
