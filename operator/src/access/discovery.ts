/** What kubectl and the API server ask of every API: its groups, its resources, its schema. Pure. */
import { accessGroup } from '@cloudlet/crds';

export const accessVersion = 'v1alpha1';
export const accessGroupVersion = `${accessGroup}/${accessVersion}`;
export const accessRoot = `/apis/${accessGroupVersion}`;

const version = { groupVersion: accessGroupVersion, version: accessVersion };

const group = {
  kind: 'APIGroup',
  apiVersion: 'v1',
  name: accessGroup,
  versions: [version],
  preferredVersion: version,
};

const resource = (name: string, kind: string, namespaced: boolean) => ({
  name,
  singularName: '',
  namespaced,
  kind,
  verbs: ['get', 'create'],
});

const resources = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: accessGroupVersion,
  resources: [
    resource('appinsts/exec', 'ExecOptions', true),
    resource('appinsts/log', 'LogOptions', true),
    resource('appinsts/portforward', 'PortForwardOptions', true),
    resource('cloudlets/shell', 'ShellOptions', false),
  ],
};

const info = { title: accessGroup, version: accessVersion };

/** The document at a path; undefined where there is none. */
export function documentAt(path: string): object | undefined {
  switch (path) {
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: [group] };
    case `/apis/${accessGroup}`:
      return group;
    case accessRoot:
      return resources;
    case '/openapi/v2':
      return { swagger: '2.0', info, paths: {} };
    case '/openapi/v3':
      return {
        paths: {
          [`apis/${accessGroupVersion}`]: {
            serverRelativeURL: `/openapi/v3/apis/${accessGroupVersion}`,
          },
        },
      };
    case `/openapi/v3/apis/${accessGroupVersion}`:
      return { openapi: '3.0.0', info, paths: {} };
    default:
      return undefined;
  }
}
