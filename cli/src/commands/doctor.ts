/** doctor: what is wrong with the region or one site, and what to do about it. Changes nothing. */
import { NotFoundError, TerminalError } from '@cloudlet/runtime/base';
import type { Command, CommandContext } from '../command.ts';
import { examineRegion, examineSite } from '../doctor/examine.ts';
import type { CheckResult } from '../doctor/finding.ts';
import { diagnosisJson, diagnosisText } from '../doctor/text.ts';
import { type RegionView, viewRegion } from '../doctor/view.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  usage: 'doctor [cloudlet NAME] [-o json]',
  summary: 'Say what is wrong with the region, or with one site, and what to do about it.',
  flags: {
    output: {
      type: 'string',
      oneOf: ['text', 'json'],
      default: 'text',
      description: 'Form of the findings (-o).',
    },
  },
  shorts: { o: 'output' },
  examples: ['doctor', 'doctor cloudlet berlin', 'doctor -o json'],
  async run(context) {
    const name = siteOf(context.positionals);
    const view = await viewed(context);
    const results = name === undefined ? examineRegion(view) : examineNamed(name, view);
    const diagnosis = { results, now: view.now, denied: view.denied };
    const isJson = context.flags['output'] === 'json';
    context.terminal.stdout.write(isJson ? diagnosisJson(diagnosis) : diagnosisText(diagnosis));
    const findings = results.flatMap((result) => result.findings);
    return findings.some(({ severity }) => severity === 'Problem') ? 1 : 0;
  },
};

export function viewed(context: CommandContext): Promise<RegionView> {
  const { client, namespace } = context.region();
  const { clock, signal, version } = context;
  return viewRegion({ client, clock, signal, namespace, pluginVersion: version });
}

/** `NAME`, `cloudlet NAME` and `cloudlet/NAME`, as kubectl takes them. */
function siteOf(positionals: readonly string[]): string | undefined {
  const parts = positionals.flatMap((one) => one.split('/'));
  const isKind = (word: string | undefined): boolean =>
    word === 'cloudlet' || word === 'cloudlets' || word === 'cl';
  const [first, second] = parts;
  if (parts.length === 0) return undefined;
  if (parts.length === 1 && first !== undefined && !isKind(first)) return first;
  if (parts.length === 2 && isKind(first)) return second;
  throw new TerminalError(
    'InvalidFlags',
    `'cloudlet NAME' is wanted, not '${positionals.join(' ')}'`,
  );
}

function examineNamed(name: string, view: RegionView): readonly CheckResult[] {
  const sites = view.objects.Cloudlet;
  if (!sites)
    throw new TerminalError('NotAllowed', 'you may not list Cloudlets; ask who runs the region');
  const cloudlet = sites.find(({ metadata }) => metadata.name === name);
  if (!cloudlet) throw new NotFoundError(`there is no Cloudlet ${name}`);
  return examineSite(cloudlet, view);
}
