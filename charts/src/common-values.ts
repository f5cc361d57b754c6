/** Values that both charts have, with the same names and meanings. */
import {
  choice,
  count,
  map,
  object,
  objects,
  type Section,
  section,
  text,
  texts,
} from './values.ts';

export const logLevel = choice('Least level that is logged.', ['info', 'debug', 'warn', 'error']);

export const image = (repository: string): Section =>
  section('The image.', {
    repository: text(
      'Name of the image, with its registry where it is not the default one.',
      repository,
    ),
    tag: text("Tag. Default: the chart's appVersion."),
    digest: text('Digest, such as sha256:..., which wins over the tag.', '', {
      pattern: '^(sha256:[0-9a-f]{64})?$',
    }),
    pullPolicy: choice('When the image is pulled.', ['IfNotPresent', 'Always', 'Never']),
  });

export const pullSecrets = objects('Secrets to pull the image with, as [{name: ...}].');

export const resources = (cpu: string, memory: string, limit: string) =>
  object('What a container asks for and may use.', {
    requests: { cpu, memory },
    limits: { memory: limit },
  });

/** Where pods go and what they carry. */
export const scheduling = {
  podAnnotations: map('Annotations of all pods.'),
  podLabels: map('More labels of all pods.'),
  nodeSelector: map('Labels that a node must have.'),
  tolerations: objects('Tolerations of all pods.'),
  affinity: object('Affinity of all pods; topology spread is set anyway.'),
  priorityClassName: text('Priority class of all pods.'),
} as const;

export const extraArgs = texts('More flags of the process; its --help lists them.');

export const replicas = (value: number): ReturnType<typeof count> => count('Pods.', value, 1, 99);
