/** Built-in kinds that an operator meets, and where they live. */
import type { ResourceType } from './types.ts';

function define(
  group: string,
  version: string,
  plural: string,
  kind: string,
  namespaced = true,
): ResourceType {
  return Object.freeze({ group, version, plural, kind, namespaced });
}

export const coreTypes = Object.freeze({
  namespaces: define('', 'v1', 'namespaces', 'Namespace', false),
  nodes: define('', 'v1', 'nodes', 'Node', false),
  pods: define('', 'v1', 'pods', 'Pod'),
  services: define('', 'v1', 'services', 'Service'),
  secrets: define('', 'v1', 'secrets', 'Secret'),
  configMaps: define('', 'v1', 'configmaps', 'ConfigMap'),
  serviceAccounts: define('', 'v1', 'serviceaccounts', 'ServiceAccount'),
  persistentVolumeClaims: define('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim'),
  resourceQuotas: define('', 'v1', 'resourcequotas', 'ResourceQuota'),
  deployments: define('apps', 'v1', 'deployments', 'Deployment'),
  statefulSets: define('apps', 'v1', 'statefulsets', 'StatefulSet'),
  daemonSets: define('apps', 'v1', 'daemonsets', 'DaemonSet'),
  controllerRevisions: define('apps', 'v1', 'controllerrevisions', 'ControllerRevision'),
  jobs: define('batch', 'v1', 'jobs', 'Job'),
  networkPolicies: define('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy'),
  leases: define('coordination.k8s.io', 'v1', 'leases', 'Lease'),
  events: define('events.k8s.io', 'v1', 'events', 'Event'),
  certificateSigningRequests: define(
    'certificates.k8s.io',
    'v1',
    'certificatesigningrequests',
    'CertificateSigningRequest',
    false,
  ),
  roles: define('rbac.authorization.k8s.io', 'v1', 'roles', 'Role'),
  roleBindings: define('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding'),
  clusterRoles: define('rbac.authorization.k8s.io', 'v1', 'clusterroles', 'ClusterRole', false),
  clusterRoleBindings: define(
    'rbac.authorization.k8s.io',
    'v1',
    'clusterrolebindings',
    'ClusterRoleBinding',
    false,
  ),
  customResourceDefinitions: define(
    'apiextensions.k8s.io',
    'v1',
    'customresourcedefinitions',
    'CustomResourceDefinition',
    false,
  ),
  apiServices: define('apiregistration.k8s.io', 'v1', 'apiservices', 'APIService', false),
  validatingAdmissionPolicies: define(
    'admissionregistration.k8s.io',
    'v1',
    'validatingadmissionpolicies',
    'ValidatingAdmissionPolicy',
    false,
  ),
  validatingAdmissionPolicyBindings: define(
    'admissionregistration.k8s.io',
    'v1',
    'validatingadmissionpolicybindings',
    'ValidatingAdmissionPolicyBinding',
    false,
  ),
  flowSchemas: define('flowcontrol.apiserver.k8s.io', 'v1', 'flowschemas', 'FlowSchema', false),
  subjectAccessReviews: define(
    'authorization.k8s.io',
    'v1',
    'subjectaccessreviews',
    'SubjectAccessReview',
    false,
  ),
});
