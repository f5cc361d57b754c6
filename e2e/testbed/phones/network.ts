/**
 * The phones' network: a bridge in a network namespace of its own, where this host's firewall does not reach
 * it, a leg of this host on it, and a namespace a phone.
 *
 * Guarantees: nothing leaves the machine (phones have no default route); a phone's hardware address is the
 * same at every boot, so nobody's neighbour table goes stale; taking away what is not there succeeds.
 */
import { existsSync, readdirSync } from 'node:fs';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import type { PhoneLayout, PhonesLayout } from './layout.ts';

/** Makes the bridge and this host's leg where they are missing. */
export async function layNetwork(layout: PhonesLayout): Promise<void> {
  const { lan, hostLink, hostIp, net } = layout;
  if (!existsSync(`/run/netns/${lan}`)) {
    await ip(`netns add ${lan}`);
    await ipIn(
      lan,
      'link set lo up',
      // An address of its own: by default it takes that of a port, and changes it as ports come and go.
      `link add lan address ${hardwareAddress(`${net}.2`)} type bridge`,
      `addr add ${net}.2/24 dev lan`,
      'link set lan up',
    );
  }
  if (existsSync(`/sys/class/net/${hostLink}`)) return;
  const { stdout } = await runCommand('ip', ['-4', '-o', 'addr', 'show', 'to', `${net}.0/24`]);
  if (stdout.trim() !== '') {
    throw new TerminalError('InvalidTestbed', `this host has an address in ${net}.0/24 already`);
  }
  await ip(`link add ${hostLink} type veth peer name host netns ${lan}`);
  await ipIn(lan, 'link set host master lan up');
  await ip(`addr add ${hostIp}/24 dev ${hostLink}`, `link set ${hostLink} up`);
}

/** Takes away the bridge, this host's leg and every phone's namespace that bears the prefix. */
export async function removeNetwork({ prefix, lan, hostLink }: PhonesLayout): Promise<void> {
  if (existsSync(`/sys/class/net/${hostLink}`)) await ip(`link del ${hostLink}`);
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const ofPhone = new RegExp(`^${prefix}\\d+$`);
  for (const name of namespaces) {
    if (name === lan || ofPhone.test(name)) await ip(`netns del ${name}`);
  }
}

/** A phone's namespace is made anew at each power-on, as all that it has in memory. */
export async function wirePhone(layout: PhonesLayout, phone: PhoneLayout): Promise<void> {
  await unwirePhone(layout, phone);
  const address = hardwareAddress(phone.ip);
  await ip(
    `netns add ${phone.name}`,
    `link add eth0 address ${address} netns ${phone.name} type veth peer name ${phone.name} netns ${layout.lan}`,
  );
  await ipIn(layout.lan, `link set ${phone.name} master lan up`);
  await ipIn(phone.name, 'link set lo up', `addr add ${phone.ip}/24 dev eth0`, 'link set eth0 up');
}

/** The same for the same address, so nobody's neighbour table goes stale. */
function hardwareAddress(ip: string): string {
  const octets = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return `02:${octets.join(':')}:00`;
}

export async function unwirePhone(layout: PhonesLayout, phone: PhoneLayout): Promise<void> {
  if (existsSync(`/run/netns/${layout.lan}`)) {
    // Fails when there is no such link, which is what is wanted.
    await runCommand('ip', ['-n', layout.lan, 'link', 'del', phone.name], { allow: [1] });
  }
  if (existsSync(`/run/netns/${phone.name}`)) await ip(`netns del ${phone.name}`);
}

/** Whether the bridge passes a phone's packets; when not it drops them silently and the link stays up. */
export async function setForwarding(
  layout: PhonesLayout,
  phone: PhoneLayout,
  forward: boolean,
): Promise<void> {
  const state = forward ? '3' : '0';
  await runCommand('bridge', ['-n', layout.lan, 'link', 'set', 'dev', phone.name, 'state', state]);
}

/** Runs commands of ip(8) in order, in one process. */
async function ip(...lines: string[]): Promise<void> {
  await runCommand('ip', ['-batch', '-'], { input: lines.join('\n') + '\n', timeoutMs: 30_000 });
}

async function ipIn(namespace: string, ...lines: string[]): Promise<void> {
  await runCommand('ip', ['-n', namespace, '-batch', '-'], {
    input: lines.join('\n') + '\n',
    timeoutMs: 30_000,
  });
}
