/** A doctor's findings for people: what is alike is told once, the worst first. Pure. */
import { ageOf } from '../age.ts';
import { type CheckResult, type Finding, severities } from './finding.ts';

export interface Diagnosis {
  readonly results: readonly CheckResult[];
  readonly now: number;
  /** What could not be read. */
  readonly denied: readonly string[];
}

const tellEach = 3;
const judged = severities.filter((severity) => severity !== 'Unknown');

export function diagnosisText({ results, now, denied }: Diagnosis): string {
  const findings = results.flatMap((result) => result.findings);
  const lines = judged.flatMap((severity) =>
    grouped(findings.filter((finding) => finding.severity === severity)).flatMap((group) =>
      groupLines(group, now),
    ),
  );
  const fine = results.filter((result) => result.findings.length === 0);
  const ok = fine.length === 0 ? [] : [`ok: ${fine.map(({ check }) => check).join(', ')}`];
  return [...lines, ...unseenLines(findings, denied), ...ok, countsText(findings), ''].join('\n');
}

/** Findings that differ in their object alone. */
function grouped(findings: readonly Finding[]): readonly (readonly Finding[])[] {
  const groups = Map.groupBy(findings, ({ severity, reason, object }) =>
    [severity, reason, object.split(' ')[0]].join(' '),
  );
  return [...groups.values()].flatMap((group) =>
    group.length > tellEach ? [group] : group.map((finding) => [finding]),
  );
}

function groupLines(group: readonly Finding[], now: number): readonly string[] {
  const [first] = group;
  if (!first) return [];
  const head = `${first.severity.toUpperCase()}  ${first.reason}`;
  const indent = '    ';
  return [
    `${head}  ${group.length > 1 ? `${group.length} times` : first.object}`,
    ...group.slice(0, tellEach).map((finding) => {
      const since = finding.since === undefined ? '' : ` (for ${ageOf(finding.since, now)})`;
      const object = group.length > 1 ? `${finding.object}: ` : '';
      return `${indent}${object}${finding.message}${since}`;
    }),
    ...(group.length > tellEach
      ? [
          `${indent}and ${group
            .slice(tellEach)
            .map(({ object }) => object)
            .slice(0, 10)
            .join(
              ', ',
            )}${group.length > tellEach + 10 ? `, and ${group.length - tellEach - 10} more` : ''}`,
        ]
      : []),
    `${indent}=> ${first.remedy}`,
  ];
}

/** What the caller may not look at, in one place. */
function unseenLines(findings: readonly Finding[], denied: readonly string[]): readonly string[] {
  const unseen = findings.filter(({ severity }) => severity === 'Unknown');
  if (denied.length === 0) return [];
  return [
    `UNKNOWN  ${unseen.map(({ object }) => object).join(', ') || 'parts'}`,
    `    You may not ${denied.join(', ')}.`,
    `    => ${unseen[0]?.remedy ?? 'What is told is what you may see.'}`,
  ];
}

export function countsText(findings: readonly Finding[]): string {
  const count = (severity: Finding['severity']): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const plural = (number: number, word: string): string =>
    `${number} ${word}${number === 1 ? '' : 's'}`;
  const unknowns = count('Unknown');
  return [
    plural(count('Problem'), 'problem'),
    plural(count('Warning'), 'warning'),
    ...(unknowns > 0 ? [`${unknowns} not looked at`] : []),
  ].join(', ');
}

/** For programs: everything, unfolded. */
export function diagnosisJson({ results, now, denied }: Diagnosis): string {
  const findings = results.flatMap(({ check, findings: found }) =>
    found.map((finding) => ({ check, ...finding })),
  );
  const of = (severity: Finding['severity']) =>
    findings.filter((finding) => finding.severity === severity).length;
  const document = {
    time: new Date(now).toISOString(),
    problems: of('Problem'),
    warnings: of('Warning'),
    unknown: of('Unknown'),
    checks: results.map(({ check }) => check),
    denied,
    findings,
  };
  return JSON.stringify(document, undefined, 2) + '\n';
}
