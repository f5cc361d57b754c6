/**
 * Who opened what at which site, as log records for a collector. Of a program's arguments nothing is told but
 * the program: people type secrets there.
 */
import type { LogRecord } from '../telemetry/telemetry.ts';
import type { AccessRequest } from './request.ts';

export const sessionOpened = (request: AccessRequest, user: string, time: number): LogRecord =>
  record('cloudlet.session.opened', 'opened', request, user, time);

export const sessionEnded = (
  request: AccessRequest,
  user: string,
  time: number,
  seconds: number,
): LogRecord => {
  const ended = record('cloudlet.session.ended', 'ended', request, user, time);
  return { ...ended, attributes: { ...ended.attributes, 'cloudlet.session.seconds': seconds } };
};

function record(
  eventName: string,
  verb: string,
  { target, parameters }: AccessRequest,
  user: string,
  time: number,
): LogRecord {
  const { kind } = parameters;
  const [program] = parameters.argv ?? [];
  const place = target.kind === 'appinst' ? `${target.namespace}/${target.name}` : target.name;
  return {
    ...{ time, severity: 'INFO' as const, eventName },
    body: `${user} ${verb} ${kind} on ${target.kind} ${place}`,
    attributes: {
      'user.name': user,
      'cloudlet.session.kind': kind,
      'k8s.object.kind': target.kind === 'appinst' ? 'AppInst' : 'Cloudlet',
      'k8s.object.name': place,
      ...(target.kind === 'appinst' ? { 'k8s.namespace.name': target.namespace } : {}),
      ...(program === undefined ? {} : { 'process.command': program.slice(0, 128) }),
    },
  };
}
