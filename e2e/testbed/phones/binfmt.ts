/**
 * Programs of 32-bit ARM on this machine, by qemu-user and the kernel's binfmt_misc.
 *
 * Guarantees: the flags are OCF, F above all (the interpreter is opened now, so it works in containers that
 * do not hold it); what was registered before is left alone; what this bed registered goes with its last user.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';

const folder = '/proc/sys/fs/binfmt_misc';
const entry = join(folder, 'qemu-arm');
/** One file a user of the entry; exists only if a bed made the entry. */
const users = '/run/cloudlet-testbed/qemu-arm';

/** ELF, 32 bits, little endian, executable or shared object, ARM. */
const rule = [
  '',
  'qemu-arm',
  'M',
  '',
  String.raw`\x7f\x45\x4c\x46\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00`,
  String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`,
  '/usr/bin/qemu-arm-static',
  'OCF',
].join(':');

export async function acquireArm(user: string): Promise<void> {
  if (!existsSync(join(folder, 'register'))) {
    await runCommand('mount', ['-t', 'binfmt_misc', 'binfmt_misc', folder]);
  }
  if (!existsSync(entry)) {
    writeFileSync(join(folder, 'register'), rule);
    mkdirSync(users, { recursive: true });
  } else if (!/^flags:.*F/m.test(readFileSync(entry, 'utf8'))) {
    throw new TerminalError(
      'InvalidTestbed',
      `${entry} is registered without flag F: disable it, or start without ARM images`,
    );
  }
  if (existsSync(users)) writeFileSync(join(users, user), '');
}

export function releaseArm(user: string): void {
  if (!existsSync(users)) return;
  rmSync(join(users, user), { force: true });
  if (readdirSync(users).length > 0) return;
  rmSync(users, { recursive: true });
  if (existsSync(entry)) writeFileSync(entry, '-1');
}
