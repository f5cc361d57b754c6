import assert from 'node:assert/strict';
import test from 'node:test';
import { stateOf } from './convergence.ts';
import type { Service, Task } from './engine-types.ts';
import { powerLabel } from './names.ts';
import { aService, aSpec, aTask, now } from './testing.ts';

const failed = (id: string, age: number): Task =>
  aTask({ id, age, state: 'failed', desired: 'shutdown', error: 'task: non-zero exit (1)' });
const updated = (State: NonNullable<Service['UpdateStatus']>['State']): Service =>
  aService({ UpdateStatus: State ? { State } : {} });

const cases: readonly [string, Service, readonly Task[], string, string?][] = [
  ['a task that has run for a while', aService(), [aTask()], 'Settled'],
  ['a task that started just now', aService(), [aTask({ age: 100 })], 'Moving', 'just started'],
  ['a node whose clock is ahead', aService(), [aTask({ age: -5000 })], 'Settled'],
  ['no task yet', aService(), [], 'Moving', '0 of 1'],
  [
    'a task that no node takes',
    aService(),
    [aTask({ state: 'pending', error: 'no suitable node (insufficient resources)' })],
    'Moving',
    'no suitable node',
  ],
  ['one failure', aService(), [failed('a', 5000)], 'Moving', '0 of 1'],
  [
    'two failures in one place',
    aService(),
    [failed('a', 9000), failed('b', 4000)],
    'Failed',
    'task 1: task: non-zero exit (1)',
  ],
  ['failures of long ago', aService(), [failed('a', 9e6), failed('b', 8e6)], 'Moving'],
  [
    'failures before it came up',
    aService(),
    [failed('a', 9000), failed('b', 8000), aTask()],
    'Settled',
  ],
  [
    'an image that a node could not get once',
    aService(),
    [aTask({ state: 'rejected', error: 'No such image: web:1' })],
    'Moving',
  ],
  ['an update that goes on', updated('updating'), [aTask()], 'Moving', 'updating'],
  [
    'failures of an update that goes on',
    updated('updating'),
    [failed('a', 9000), failed('b', 4000)],
    'Moving',
    'updating',
  ],
  ['an update that stopped', updated('paused'), [aTask()], 'Failed', 'update stopped'],
  ['a roll-back that goes on', updated('rollback_started'), [aTask()], 'Moving', 'rolling back'],
  ['a roll-back that ended', updated('rollback_completed'), [aTask()], 'Failed', 'rolled back'],
  [
    'an old task that still ends',
    aService(),
    [aTask(), aTask({ id: 'old', image: 'web:0', desired: 'shutdown', age: 2000 })],
    'Moving',
    '1 old tasks are ending',
  ],
  [
    'an old task on a node that is lost',
    aService(),
    [aTask(), aTask({ id: 'old', image: 'web:0', desired: 'shutdown', age: 120_000 })],
    'Settled',
  ],
  ['a task of the last specification', aService(), [aTask({ image: 'web:0' })], 'Moving', '0 of 1'],
  [
    'a service that is powered off',
    aService({ Spec: aSpec({ Labels: { [powerLabel]: 'Off' }, Mode: { Global: {} } }) }),
    [],
    'Settled',
  ],
  [
    'a global service without a task',
    aService({ Spec: aSpec({ Mode: { Global: {} } }) }),
    [],
    'Moving',
  ],
  [
    'a job that has ended',
    aService({ Spec: aSpec({ Mode: { ReplicatedJob: {} } }) }),
    [aTask({ state: 'complete', desired: 'complete' })],
    'Settled',
  ],
];

for (const [what, service, tasks, kind, message] of cases) {
  test(`${what}: ${kind}`, () => {
    const state = stateOf(service, tasks, now);
    assert.equal(state.kind, kind, JSON.stringify(state));
    if (message) assert.match(JSON.stringify(state), new RegExp(message.replace(/[()]/g, '\\$&')));
  });
}
