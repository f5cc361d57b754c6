/**
 * What the agent costs a phone that idles: resident memory with the swarm driver and with none, and bytes on
 * the link. The bundle runs as it is shipped, by the machine's own Node, which on a phone is 20 or 22, and once
 * more by this one, beside a real swarm manager and a real hub.
 */
import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { type BundleResult, bundleAgent } from '@cloudlet/agent/bundle';
import { eventually, startAgent, TestRegion } from '@cloudlet/agent/testing';
import { runCommand, systemClock } from '@cloudlet/runtime/base';
import type { Phone } from '../testbed/index.ts';
import type { Bench, BenchContext, BenchResult } from './contract.ts';

/** From the first report on, so that start and enrolment are over. */
const settleMs = 30_000;
const measureMs = 60_000;
/** Of agent/Dockerfile and of the archive's starter. */
const shippedFlags = ['--max-semi-space-size=1'];

export const bench: Bench = {
  prefix: 'agent',
  needs: ['phones'],
  async run(context): Promise<BenchResult> {
    const phone = context.phones?.phones[0];
    if (!phone) throw new Error('a phone is wanted');
    const bundle = await bundleAgent({ outFolder: join(context.dir, 'agent') });
    await phone.docker(['swarm', 'init', '--advertise-addr', phone.ip]);
    try {
      const own = process.env['CLOUDLET_AGENT_NODE'] ?? nodeOfMachine();
      const swarm = await idle(context, bundle, { driver: 'docker-swarm', node: own, phone });
      const here = { driver: 'docker-swarm', node: process.execPath, phone } as const;
      const newest = await idle(context, bundle, here);
      const fake = await idle(context, bundle, { driver: 'fake', node: own, phone });
      return {
        figures: {
          'rss.idle': swarm.rssMiB,
          [`rss.idleOnNode${newest.nodeVersion.split('.')[0]?.slice(1)}`]: newest.rssMiB,
          'rss.idleWithoutEngine': fake.rssMiB,
          idleBytesPerMinute: swarm.bytesPerMinute,
          bundleKiB: await sizeKiB(bundle),
        },
        notes: [
          `Node ${swarm.nodeVersion}, after ${settleMs / 1000} s, an empty swarm of one manager`,
        ],
      };
    } finally {
      await phone.docker(['swarm', 'leave', '--force']);
    }
  },
};

interface Idle {
  readonly rssMiB: number;
  readonly bytesPerMinute: number;
  readonly nodeVersion: string;
}

interface IdleOptions {
  readonly driver: 'docker-swarm' | 'fake';
  readonly node: string;
  readonly phone: Phone;
}

/** The first of the PATH that npm did not put there. */
function nodeOfMachine(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const found = folders
    .filter((folder) => folder && !folder.includes('node_modules'))
    .map((folder) => join(folder, 'node'))
    .find((file) => existsSync(file));
  return found ?? process.execPath;
}

let lives = 0;

async function idle(
  { dir, progress, signal }: BenchContext,
  bundle: BundleResult,
  { driver, node, phone }: IdleOptions,
): Promise<Idle> {
  await using region = await TestRegion.start();
  const relay = await countingRelay(region.hub);
  const life = `${driver}-${++lives}`;
  const joinFile = join(dir, `${life}.join`);
  await writeFile(joinFile, region.join(relay.address), { mode: 0o600 });
  const args = [
    ...['--state-dir', join(dir, life), '--driver', driver, '--docker-socket', phone.socketPath],
    ...['--health-address', 'off'],
  ];
  const start = (more: readonly string[]) =>
    startAgent({ node: [node, ...shippedFlags], entry: bundle.entry, args: [...args, ...more] });
  // The first life enrols, which loads what later lives do without: an agent enrols once a month.
  const first = start(['--join-file', joinFile]);
  await eventually('the enrolment', () => region.siteReports.length > 0);
  await first.stop();
  const reports = region.siteReports.length;
  const agent = start([]);
  try {
    await eventually('the site report', () => region.siteReports.length > reports);
    await systemClock.sleep(settleMs, signal);
    const before = relay.bytes();
    await systemClock.sleep(measureMs, signal);
    const status = await readFile(`/proc/${agent.process.pid}/status`, 'utf8');
    const rssMiB = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
    const bytesPerMinute = ((relay.bytes() - before) * 60_000) / measureMs;
    const nodeVersion = await versionOf(node);
    progress(`agent with driver ${driver} by Node ${nodeVersion}: ${rssMiB.toFixed(1)} MiB`);
    return { rssMiB, bytesPerMinute, nodeVersion };
  } finally {
    await agent.stop();
    relay.close();
  }
}

/** Stands in front of the hub and counts what passes, both ways, TLS included. */
async function countingRelay(hub: string) {
  let bytes = 0;
  const port = Number(hub.split(':')[1]);
  const server = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on('data', (chunk: Buffer) => (bytes += chunk.length));
      from.pipe(to);
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: own } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${own}`,
    bytes: () => bytes,
    close: () => void server.close(),
  };
}

async function versionOf(node: string): Promise<string> {
  return (await runCommand(node, ['--version'])).stdout.trim();
}

async function sizeKiB({ folder, metafile }: BundleResult): Promise<number> {
  const files = Object.keys(metafile.outputs).map((path) => path.split('/agent/').at(-1) ?? path);
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return Math.round(sizes.reduce((sum, size) => sum + size, 0) / 1024);
}
