/**
 * What the agent says of one instance: a pure function of what is wanted, what is there and what its lane
 * came to. One function builds the whole of it; what is left out is erased in the region.
 *
 * Guarantees: fits the schema and the limit of a report, whatever a platform says; holds no time but those
 * of the platform, so that an equal report is one of the same meaning.
 */
import { appInstReasons, cloudletReasons, type Condition, type TaskStatus } from '@cloudlet/crds';
import type { InstanceObservation, Verdict } from '@cloudlet/drivers';
import { type InstanceReport, limits } from '@cloudlet/tunnel/agent';
import type { LaneState } from '../reconcile/lanes.ts';
import { type InstanceRecord, sequenceOf } from '../store/index.ts';

/** A report without what tells one sending from another: boot, number and times of transition. */
export interface InstanceContent {
  readonly id: string;
  readonly object: InstanceReport['object'];
  readonly site: Omit<InstanceReport['status']['site'], 'boot' | 'sequence'>;
  readonly verdicts: readonly ContentVerdict[];
  readonly generation?: number;
  readonly instances?: readonly TaskStatus[];
  readonly backends?: InstanceObservation['backends'];
  readonly warnings?: readonly string[];
  readonly progress?: InstanceReport['status']['progress'];
  /** On the way to something better: worth a report only if it lasts. */
  readonly isTransitional: boolean;
}

export interface ContentVerdict extends Verdict {
  readonly type: Condition['type'];
}

export interface InstanceView {
  readonly record: InstanceRecord;
  readonly observed: InstanceObservation | undefined;
  readonly lane: LaneState;
  /** Why nothing can be changed now. */
  readonly held?: { readonly reason: string; readonly message: string } | undefined;
  /** Why what is known may be long past. */
  readonly stale?: string | undefined;
  readonly agentVersion: string;
}

export function instanceContent(view: InstanceView): InstanceContent {
  const { record, observed, lane } = view;
  const deployed = deployedOf(view);
  const healthy = healthyOf(view);
  const object = record.refused?.object ?? record.plan?.object;
  const ofObserved = record.revisions.find(({ sequence }) => sequence === observed?.sequence);
  const revision = record.displaces ? undefined : ofObserved?.revision;
  const warnings = 'warnings' in lane ? lane.warnings : [];
  const tasks = observed?.tasks ?? [];
  const content: InstanceContent = {
    id: record.id,
    object: { namespace: object?.namespace ?? '', name: object?.name ?? '' },
    site: {
      uid: object?.uid ?? '',
      placement: record.refused?.sequence ?? sequenceOf(record),
      ...(object ? { observed: object.generation } : {}),
      ...(revision === undefined ? {} : { revision }),
      ...(record.removed ? { removed: true } : {}),
      ...(observed ? { name: observed.name.slice(0, 253) } : {}),
    },
    verdicts: [
      { type: 'Deployed', ...clipped(deployed) },
      { type: 'Healthy', ...clipped(healthy) },
    ],
    ...(object ? { generation: object.generation } : {}),
    ...(tasks.length > 0 ? { instances: tasks.slice(0, 200).map(clippedTask) } : {}),
    ...(observed?.backends?.length ? { backends: observed.backends.slice(0, 200) } : {}),
    ...(warnings.length > 0
      ? { warnings: warnings.slice(0, 32).map((warning) => warning.slice(0, 512)) }
      : {}),
    ...(deployed.status === 'True' ? {} : progressOf(lane)),
    isTransitional:
      deployed.reason === appInstReasons.Progressing || healthy.reason === appInstReasons.Starting,
  };
  return fitted(content);
}

function deployedOf({ record, observed, lane, held, stale, agentVersion }: InstanceView): Verdict {
  const { plan, refused, removal, removed } = record;
  if (removed) return verdict('False', 'Removing', 'It is gone from the site.');
  if (removal) return removingOf(lane, held);
  if (refused)
    return verdict(
      'False',
      'Unsupported',
      `Agent ${agentVersion} does not know ${refused.features.join(', ')}; what runs is kept. Upgrade the agent.`,
    );
  if (stale !== undefined)
    return verdict('Unknown', cloudletReasons.EngineUnreachable, `Cannot tell: ${stale}`);
  if (plan?.suspend)
    return verdict(observed?.deployed.status ?? 'Unknown', 'Suspended', 'It is left as it is.');
  if (lane.kind === 'Failed') return failedOf(lane);
  if (isCarriedOut(record, observed)) return observed.deployed;
  if (held) return verdict('Unknown', held.reason, `Changes wait: ${held.message}`);
  return verdict('False', 'Progressing', progressText(lane, observed));
}

/** Whether what is there was made from the plan in force. */
function isCarriedOut(
  { plan, displaces }: InstanceRecord,
  observed: InstanceObservation | undefined,
): observed is InstanceObservation {
  return observed !== undefined && !displaces && (!plan || observed.sequence === plan.sequence);
}

function removingOf(lane: LaneState, held: InstanceView['held']): Verdict {
  if (lane.kind === 'Failed')
    return verdict('False', 'Removing', `Cannot be removed yet: ${lane.message}`);
  return verdict('False', 'Removing', held ? `Waits: ${held.message}` : 'It is being removed.');
}

function failedOf(lane: Extract<LaneState, { kind: 'Failed' }>): Verdict {
  const known = Object.values<string>(appInstReasons).includes(lane.reason);
  const next = lane.permanent ? 'It waits for another plan.' : 'It is tried again.';
  return verdict(
    'False',
    known ? lane.reason : appInstReasons.DeployFailed,
    `${lane.message.replace(/\.?$/, '.')} ${next}`,
  );
}

function progressText(lane: LaneState, observed: InstanceObservation | undefined): string {
  const progress = lane.kind === 'Working' ? lane.progress : undefined;
  if (progress) return `${progress.task} (${progress.step} of ${progress.of})`;
  return observed ? observed.deployed.message : 'It waits for its turn.';
}

function healthyOf({ record, observed, stale }: InstanceView): Verdict {
  if (record.removed || record.removal)
    return verdict('False', 'Removing', record.removed ? 'It is gone.' : 'It is being removed.');
  if (stale !== undefined)
    return verdict('Unknown', cloudletReasons.EngineUnreachable, `Cannot tell: ${stale}`);
  return observed?.healthy ?? verdict('Unknown', 'Starting', 'Nothing runs yet.');
}

function verdict(status: Verdict['status'], reason: string, message: string): Verdict {
  return { status, reason, message };
}

function progressOf(lane: LaneState): Pick<InstanceContent, 'progress'> {
  if (lane.kind !== 'Working' || !lane.progress) return {};
  const { task, step, of, message } = lane.progress;
  return {
    progress: {
      task: task.slice(0, 128),
      step,
      of,
      ...(message === undefined ? {} : { message: message.slice(0, 512) }),
    },
  };
}

const clipped = ({ status, reason, message }: Verdict): Verdict => ({
  status,
  reason: reason.slice(0, 1024) || 'Unknown',
  message: message.slice(0, 4096),
});

function clippedTask(task: TaskStatus): TaskStatus {
  const { name, service, node, state, image, architecture, error } = task;
  return {
    ...task,
    name: name.slice(0, 253),
    state: state.slice(0, 32),
    ...(service === undefined ? {} : { service: service.slice(0, 253) }),
    ...(node === undefined ? {} : { node: node.slice(0, 253) }),
    ...(image === undefined ? {} : { image: image.slice(0, 512) }),
    ...(architecture === undefined ? {} : { architecture: architecture.slice(0, 32) }),
    ...(error === undefined ? {} : { error: error.slice(0, 1024) }),
  };
}

/** Drops tasks from the end until the report fits; says how many it left out. */
function fitted(content: InstanceContent): InstanceContent {
  let tasks = content.instances ?? [];
  const all = tasks.length;
  let fitting = content;
  while (JSON.stringify(fitting).length > limits.maxReportBytes / 2 && tasks.length > 0) {
    tasks = tasks.slice(0, Math.floor(tasks.length / 2));
    const note = `instances: ${all - tasks.length} of ${all} tasks are not listed`;
    fitting = {
      ...content,
      instances: tasks,
      warnings: [...(content.warnings ?? []).slice(0, 31), note],
    };
  }
  return fitting;
}
