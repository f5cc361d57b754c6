/** What must be so before a release, each as a sentence when it is not. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { staleOf } from '@cloudlet/crds/generate';
import { recordFiles, recordFolder } from '@cloudlet/crds/record';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import { parse } from 'yaml';
import { repositoryRoot } from '../testbed/index.ts';

/** @returns what is wrong, a sentence each. */
export async function problemsOf(version: string): Promise<readonly string[]> {
  return [
    ...(await treeProblems(version)),
    ...versionProblems(version),
    ...changelogProblems(readFileSync(join(repositoryRoot, 'CHANGELOG.md'), 'utf8'), version),
    ...(await recordProblems()),
    ...(await auditProblems()),
  ];
}

/** What later versions are held against is this one. */
async function recordProblems(): Promise<readonly string[]> {
  const stale = await staleOf({ files: recordFiles(), folder: recordFolder });
  return stale.map((path) => `${path} is not what is released: npm run generate -- --record`);
}

async function treeProblems(version: string): Promise<readonly string[]> {
  const git = async (...args: string[]): Promise<string> =>
    (await runCommand('git', args, { cwd: repositoryRoot })).stdout.trim();
  const isClean = (await git('status', '--porcelain')) === '';
  const tags = (await git('tag', '--points-at', 'HEAD')).split('\n');
  return [
    ...(isClean ? [] : ['the work tree has changes: commit them']),
    ...(tags.includes(`v${version}`) ? [] : [`the commit has no tag v${version}: tag it`]),
  ];
}

/** Packages and charts go by one version. */
function versionProblems(version: string): readonly string[] {
  const read = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8');
  const root = JSON.parse(read('package.json')) as { workspaces: readonly string[] };
  const packages = root.workspaces.map((room) => {
    const path = `${room}/package.json`;
    return [path, (JSON.parse(read(path)) as { version?: string }).version] as const;
  });
  const charts = ['cloudlet-operator', 'cloudlet-agent'].flatMap((name) => {
    const path = `charts/${name}/Chart.yaml`;
    const chart = parse(read(path)) as { version: string; appVersion: string };
    return [
      [path, chart.version],
      [`${path} appVersion`, chart.appVersion],
    ] as const;
  });
  return [...packages, ...charts]
    .filter(([, found]) => found !== undefined && found !== version)
    .map(([path, found]) => `${path} has version ${found}, not ${version}`);
}

/** A section `## [version] - date` with something in it. */
export function changelogProblems(changelog: string, version: string): readonly string[] {
  const escaped = version.replaceAll('.', '\\.');
  const heading = new RegExp(`^## \\[${escaped}\\] - \\d{4}-\\d{2}-\\d{2}$`, 'm').exec(changelog);
  if (!heading) return [`CHANGELOG.md has no section [${version}] with a date`];
  const rest = changelog.slice(heading.index + heading[0].length);
  const body = rest.split(/^## /m)[0] ?? '';
  return /^- /m.test(body) ? [] : [`CHANGELOG.md says nothing of ${version}`];
}

/** What npm knows of the packages that ship. */
async function auditProblems(): Promise<readonly string[]> {
  try {
    const { code, stdout } = await runCommand('npm', ['audit', '--omit=dev', '--json'], {
      cwd: repositoryRoot,
      allow: [1],
    });
    const { metadata, message } = JSON.parse(stdout) as {
      metadata?: { vulnerabilities: Record<string, number> };
      message?: string;
    };
    if (!metadata) return [`npm audit was not answered: ${message ?? 'no reason given'}`];
    const { total = 0, ...by } = metadata.vulnerabilities;
    if (code === 0 || total === 0) return [];
    const counts = Object.entries(by).filter(([, count]) => count > 0);
    return [`npm audit: ${counts.map(([level, count]) => `${count} ${level}`).join(', ')}`];
  } catch (error) {
    return [`npm audit was not answered: ${describeError(error)}`];
  }
}
