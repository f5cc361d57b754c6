/**
 * States of an App as ControllerRevisions: immutable, named by their content, so that the same spec is the
 * same revision whoever writes it and however often.
 */
import { type App, groupVersion, labels } from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import type { DeepPartialObject } from '@cloudlet/runtime/kubernetes';
import type { ControllerRevision } from '../kinds.ts';

/** Revisions that are kept though no AppInst refers to them. */
export const revisionHistory = 10;

/** Name of the ControllerRevision of an App's present spec. */
export const revisionName = (app: App): string =>
  `${app.metadata.name.slice(0, 200)}-${contentHash(app.spec, 10)}`;

/** Value of the label that leads from a revision to its App: the name, or its hash where that is too long. */
export const appLabel = (app: string): string =>
  app.length <= 63
    ? app
    : `${app.slice(0, 52).replace(/[^a-zA-Z0-9]+$/, '')}.${contentHash(app, 10)}`;

export function revisionOf(app: App, number: number): DeepPartialObject<ControllerRevision> {
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: revisionName(app),
      namespace: app.metadata.namespace ?? '',
      labels: {
        [labels.app]: appLabel(app.metadata.name),
        [labels.managedBy]: 'cloudlet-operator',
      },
      ownerReferences: [
        {
          apiVersion: groupVersion,
          kind: 'App',
          name: app.metadata.name,
          uid: app.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    data: { spec: app.spec },
    revision: number,
  };
}

/** The revisions of an App that nothing needs any more: unused, and not among the newest. */
export function staleRevisions(
  revisions: readonly ControllerRevision[],
  used: ReadonlySet<string>,
): readonly ControllerRevision[] {
  return [...revisions]
    .sort((a, b) => b.revision - a.revision)
    .slice(revisionHistory)
    .filter((revision) => !used.has(revision.metadata.name));
}
