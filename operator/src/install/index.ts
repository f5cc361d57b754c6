/** What installs the region, for charts and whoever else puts it into a cluster. */
export { accessApiService, accountOf, processes, type ProcessName } from './accesses.ts';
export { auditPolicy } from './audit.ts';
export { accessPort, textOf } from './generate.ts';
export { accessManifests } from './api-service.ts';
export { finalizerManifests } from './finalizer.ts';
export { flowControlManifests } from './flow-control.ts';
export { type Manifest, manifest } from './manifest.ts';
export { policyManifests } from './policies.ts';
export { developerRoles, peopleManifests } from './people.ts';
export { constrainedManifests, namespaceManifests, rbacManifests } from './rbac.ts';
export { wallManifests } from './wall.ts';
