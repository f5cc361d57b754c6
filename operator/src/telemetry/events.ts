/** An event recorder that tells a collector what it tells the API server. */
import type { Clock } from '@cloudlet/runtime/base';
import { type EventRecorder, keyOf } from '@cloudlet/runtime/kubernetes';
import type { Telemetry } from './telemetry.ts';

export function recorderWith(
  recorder: EventRecorder,
  telemetry: Telemetry | undefined,
  clock: Clock,
): EventRecorder {
  if (!telemetry) return recorder;
  return {
    flush: () => recorder.flush(),
    record(event) {
      recorder.record(event);
      const { regarding, type, reason, action, note } = event;
      const { namespace, uid } = regarding.metadata;
      telemetry.log({
        time: clock.now(),
        severity: type === 'Warning' ? 'WARN' : 'INFO',
        eventName: 'cloudlet.event',
        body: note.slice(0, 1024),
        attributes: {
          'k8s.event.reason': reason,
          'k8s.event.action': action,
          'k8s.object.kind': regarding.kind ?? '',
          'k8s.object.name': keyOf(regarding),
          ...(namespace === undefined ? {} : { 'k8s.namespace.name': namespace }),
          ...(uid === undefined ? {} : { 'k8s.object.uid': uid }),
        },
      });
    },
  };
}
