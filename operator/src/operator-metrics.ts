/** The operator's own metrics, beside those of client, queues and controllers. Label sets are closed. */
import { counter, gauge } from '@cloudlet/runtime/kubernetes';
import type { Registry } from 'prom-client';
import type { Region } from './region.ts';
import { conditionOf } from './status.ts';

export interface OperatorMetrics {
  readonly ledgerWrite: (changes: number) => void;
  /** Counts what the caches hold whenever somebody asks. */
  observe(region: Region): void;
}

const statuses = ['True', 'False', 'Unknown'] as const;

export function createOperatorMetrics(registry: Registry): OperatorMetrics {
  const writes = counter(registry, {
    name: 'edge_ledger_writes_total',
    help: 'Writes of ledgers.',
  });
  const changes = counter(registry, {
    name: 'edge_ledger_changes_total',
    help: 'Changes that went into them; more than writes where requests were batched.',
  });
  return {
    ledgerWrite: (count) => {
      writes.inc();
      changes.inc(count);
    },
    observe(region) {
      readyGauge(registry, 'edge_cloudlets', 'Cloudlets by what Ready says.', () =>
        region.informers.cloudlets.cache.list(),
      );
      readyGauge(registry, 'edge_appinsts', 'AppInsts by what Ready says.', () =>
        region.informers.appInsts.cache.list(),
      );
    },
  };
}

function readyGauge(
  registry: Registry,
  name: string,
  help: string,
  list: () => readonly Parameters<typeof conditionOf>[0][],
): void {
  gauge(registry, {
    name,
    help,
    labelNames: ['ready'],
    collect() {
      const counts = { True: 0, False: 0, Unknown: 0 };
      for (const object of list()) counts[conditionOf(object, 'Ready')?.status ?? 'Unknown']++;
      for (const status of statuses) this.set({ ready: status }, counts[status]);
    },
  });
}
