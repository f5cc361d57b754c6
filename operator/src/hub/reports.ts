/**
 * Brings what sites report into the API server, as the site's own identity and with the agent's field
 * manager, so that the API server's policies judge the site and not the hub.
 *
 * Guarantees: `Applied` only after the API server's 200; one write an object at a time and a bounded number
 * in all, for which sites take turns; a refusal by schema or policy drops the report and counts it; whatever time may heal is `Retry`.
 */
import { fieldManagers, groupVersion, siteUser } from '@cloudlet/crds';
import {
  type Clock,
  ConflictError,
  describeError,
  ForbiddenError,
  InvalidError,
  limitedLogger,
  type Logger,
  NotFoundError,
} from '@cloudlet/runtime/base';
import type {
  KubernetesClient,
  KubernetesObject,
  ResourceType,
} from '@cloudlet/runtime/kubernetes';
import type { InstanceReport, ReportResult, SiteReport } from '@cloudlet/tunnel';
import { resourceTypes } from '../kinds.ts';
import { LatestWriter } from './latest.ts';
import type { HubMetrics } from './metrics.ts';

export interface ReportsOptions {
  readonly client: KubernetesClient;
  readonly metrics: HubMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Status writes of this replica at once. @default 16 */
  readonly parallel?: number;
}

interface StatusWrite {
  readonly site: string;
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly name: string;
  readonly status: object;
  readonly signal: AbortSignal;
}

const conflictTries = 3;

export class Reports {
  readonly #options: ReportsOptions;
  readonly #writer: LatestWriter<StatusWrite, ReportResult>;
  /** For what sites do wrong, as often as they do it. */
  readonly #mistakes: Logger;

  constructor(options: ReportsOptions) {
    this.#options = options;
    this.#mistakes = limitedLogger(options.logger, options.clock);
    this.#writer = new LatestWriter(options.parallel ?? 16, (_key, write) => this.#write(write));
  }

  applyInstance(site: string, report: InstanceReport, signal: AbortSignal): Promise<ReportResult> {
    const { namespace, name } = report.object;
    const type = resourceTypes.AppInst;
    return this.#put({ site, type, namespace, name, status: report.status, signal });
  }

  applySite(site: string, report: SiteReport, signal: AbortSignal): Promise<ReportResult> {
    return this.#put({ site, type: resourceTypes.Cloudlet, name: site, status: report, signal });
  }

  async #put(write: StatusWrite): Promise<ReportResult> {
    const key = `${write.type.kind} ${write.namespace ?? ''}/${write.name}`;
    const written = await this.#writer.put(write.site, key, write);
    const result: ReportResult =
      written.kind === 'written'
        ? written.result
        : { result: 'Dropped', message: 'superseded by a newer report of the object' };
    this.#options.metrics.reports.inc({ kind: write.type.kind, result: result.result });
    return result;
  }

  async #write(write: StatusWrite): Promise<ReportResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#apply(write);
        return { result: 'Applied' };
      } catch (error) {
        if (error instanceof ConflictError && attempt < conflictTries) continue;
        return this.#resultOf(error, write);
      }
    }
  }

  async #apply(write: StatusWrite): Promise<void> {
    write.signal.throwIfAborted();
    const { site, type, namespace, name, status, signal } = write;
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
    const object = { apiVersion: groupVersion, kind: type.kind, metadata, status };
    const end = this.#options.metrics.reportSeconds.startTimer({ kind: type.kind });
    try {
      await this.#options.client.resource<KubernetesObject>(type).apply(object, {
        fieldManager: fieldManagers.agent,
        force: true,
        subresource: 'status',
        signal,
        // The API server adds the groups of a service account; naming groups would need a right to groups.
        impersonate: { user: siteUser(site) },
      });
    } finally {
      end();
    }
  }

  #resultOf(error: unknown, write: StatusWrite): ReportResult {
    const message = describeError(error).slice(0, 1024);
    if (error instanceof NotFoundError) return { result: 'Dropped', message };
    if (error instanceof InvalidError || isPolicyRefusal(error)) {
      const wall = error instanceof InvalidError ? 'schema' : 'policy';
      this.#options.metrics.refusals.inc({ wall, reason: 'Refused' });
      this.#mistakes.warn('the API server refused a report', {
        cloudlet: write.site,
        kind: write.type.kind,
        error,
      });
      return { result: 'Dropped', message };
    }
    return { result: 'Retry', message };
  }
}

/** An RBAC refusal or a bad credential is the installation's fault: the report is kept and tried again. */
function isPolicyRefusal(error: unknown): boolean {
  return error instanceof ForbiddenError && error.message.includes('ValidatingAdmissionPolicy');
}
