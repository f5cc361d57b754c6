/**
 * `cloudlet-agent doctor`: what is wrong on this machine, and what to do about it. Runs beside the agent or
 * before it, and changes nothing.
 */
import { join } from 'node:path';
import {
  type Clock,
  describeError,
  type FlagValues,
  helpOf,
  parseFlags,
  systemClock,
  withDeadline,
} from '@cloudlet/runtime/base';
import { parseJoin } from '@cloudlet/tunnel/agent';
import { proxyOf } from '../agent-process.ts';
import { readJoin } from '../joined.ts';
import { agentFlags } from '../options.ts';
import { peekDocument, systemDisk } from '../store/index.ts';
import {
  certificateCheck,
  type Check,
  type CheckContext,
  clockCheck,
  engineCheck,
  joinCheck,
  type Judgement,
  regionCheck,
  stateFolderCheck,
} from './checks.ts';

export const doctorFlags = {
  'state-dir': agentFlags['state-dir'],
  'join-file': { ...agentFlags['join-file'], description: 'A join that is not taken yet.' },
  driver: agentFlags.driver,
  'docker-socket': agentFlags['docker-socket'],
  output: {
    type: 'string',
    description: 'Form of the findings.',
    default: 'text',
    oneOf: ['text', 'json'],
  },
  help: agentFlags.help,
} as const;

type DoctorFlags = FlagValues<typeof doctorFlags>;

export interface Finding {
  readonly check: string;
  readonly judgement: Judgement;
}

const checkMs = 20_000;

/** @returns the exit code: 1 where there is a problem, 2 for wrong flags. */
export async function main(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  write: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<number> {
  let flags: DoctorFlags;
  try {
    flags = parseFlags(doctorFlags, argv).flags;
  } catch (error) {
    process.stderr.write(`cloudlet-agent doctor: ${describeError(error)}; see --help\n`);
    return 2;
  }
  if (flags.help) {
    const summary = 'Says what is wrong on this machine, and what to do about it.';
    write(helpOf('cloudlet-agent doctor [flags]', summary, doctorFlags));
    return 0;
  }
  const findings = await examine(flags, env, systemClock);
  write(flags.output === 'json' ? `${JSON.stringify(findings, undefined, 2)}\n` : textOf(findings));
  return findings.some(({ judgement }) => judgement.kind === 'problem') ? 1 : 0;
}

async function examine(
  flags: DoctorFlags,
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
): Promise<readonly Finding[]> {
  const stateDir = flags['state-dir'];
  const known = {
    stateDir,
    dockerSocket: flags['docker-socket'],
    join: await joinOf(stateDir, flags['join-file']),
    lastGoodTime: await lastGoodTimeOf(stateDir),
    proxy: proxyOf(env),
    clock,
  };
  const findings: Finding[] = [];
  for (const check of checksFor(flags.driver))
    findings.push({ check: check.name, judgement: await judged(check, known) });
  return findings;
}

const checksFor = (driver: string): readonly Check[] => [
  { name: 'state folder', judge: stateFolderCheck },
  { name: 'join', judge: joinCheck },
  { name: 'clock', judge: clockCheck },
  { name: 'certificate', judge: certificateCheck },
  { name: 'hub', judge: regionCheck('hub') },
  { name: 'enrolment', judge: regionCheck('enroll') },
  ...(driver === 'docker-swarm' ? [{ name: 'engine', judge: engineCheck }] : []),
];

async function judged(check: Check, known: Omit<CheckContext, 'signal'>): Promise<Judgement> {
  try {
    return await withDeadline(check.name, checkMs, known.clock, (signal) =>
      check.judge({ ...known, signal }),
    );
  } catch (error) {
    const remedy = 'Look at the machine: this should not take so long, or fail.';
    return { kind: 'problem', message: describeError(error), remedy };
  }
}

async function joinOf(stateDir: string, file: string | undefined): Promise<CheckContext['join']> {
  if (file !== undefined) return readJoin(file);
  const text = await peekDocument(join(stateDir, 'join', 'join'), systemDisk);
  return text === undefined ? undefined : parseJoin(text);
}

async function lastGoodTimeOf(stateDir: string): Promise<number> {
  const text = await peekDocument(join(stateDir, 'site', 'site'), systemDisk);
  return text === undefined ? 0 : (JSON.parse(text) as { lastGoodTime: number }).lastGoodTime;
}

const labels = { ok: 'ok', warning: 'WARNING', problem: 'PROBLEM' } as const;

function textOf(findings: readonly Finding[]): string {
  return findings
    .map(({ check, judgement }) => {
      const head = `${labels[judgement.kind].padEnd(8)} ${check}: ${judgement.message}\n`;
      return judgement.kind === 'ok' ? head : `${head}         => ${judgement.remedy}\n`;
    })
    .join('');
}
