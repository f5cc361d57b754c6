/**
 * The second wall: what the API server itself refuses a site, whatever the hub let through.
 *
 * Guarantees: a site writes status only, of its own Cloudlet and of AppInsts placed at it, as the field
 * manager `cloudlet-agent`, about this very object, without going back, and without touching what is the
 * operator's. The rules compare the object before and after: the merged object alone would show the
 * operator's fields in every honest report.
 */
import {
  apiGroup,
  apiVersion,
  appInstAgentConditions,
  appInstStatus,
  cloudletAgentConditions,
  cloudletStatus,
  fieldManagers,
  siteGroup,
  siteUser,
} from '@cloudlet/crds';
import { type Manifest } from './manifest.ts';
import { policy, type Rule } from './policy.ts';

/** The fields of a status that are the agent's; all others are the operator's, those to come too. */
const agentFields = {
  appinsts: ['site', 'instances', 'backends', 'warnings', 'progress', 'conditions'],
  cloudlets: ['site', 'conditions'],
} as const;

const operatorFields = (shape: object, agents: readonly string[]): readonly string[] =>
  Object.keys(shape).filter((field) => !agents.includes(field));

export const siteOperatorFields = {
  appinsts: operatorFields(appInstStatus.shape, agentFields.appinsts),
  cloudlets: operatorFields(cloudletStatus.shape, agentFields.cloudlets),
};

/** Statuses that a first report finds absent count as empty. */
const before = 'variables.before';
const after = 'variables.after';

const variables = [
  { name: 'before', expression: 'has(oldObject.status) ? oldObject.status : {}' },
  { name: 'after', expression: 'has(object.status) ? object.status : {}' },
];

const manager: Rule = {
  expression: `has(request.options.fieldManager) && request.options.fieldManager == '${fieldManagers.agent}'`,
  message: `a site writes as field manager ${fieldManagers.agent}`,
};

const sameObject: Rule = {
  expression: `has(${after}.site) && has(${after}.site.uid) && ${after}.site.uid == oldObject.metadata.uid`,
  message: 'the report must be about this object: status.site.uid is another',
};

const sameProcess = `${after}.site.boot == ${before}.site.boot`;

const notBackwards: Rule = {
  expression: `!has(${before}.site) || !(${sameProcess}) || ${after}.site.sequence >= ${before}.site.sequence`,
  message: 'a later report of the same agent process is on record',
};

const placementNotBackwards: Rule = {
  expression: `!has(${before}.site) || ${after}.site.placement >= ${before}.site.placement`,
  message: 'a report of a later plan is on record',
};

const unchanged = (field: string): Rule => ({
  expression: `has(${before}.${field}) == has(${after}.${field}) && (!has(${before}.${field}) || ${before}.${field} == ${after}.${field})`,
  message: `status.${field} is the operator's`,
});

/** Whatever their order: a merge may move the items of a list that is a map. */
function conditionsUnchanged(agents: readonly string[]): Rule {
  const isAgents = `c.type in [${agents.map((type) => `'${type}'`).join(', ')}]`;
  const listOf = (status: string): string =>
    `(has(${status}.conditions) ? ${status}.conditions : [])`;
  const within = (some: string, all: string): string =>
    `${listOf(some)}.all(c, ${isAgents} || ${listOf(all)}.exists(d, d == c))`;
  return {
    expression: `${within(before, after)} && ${within(after, before)}`,
    message: `of the conditions a site writes ${agents.join(', ')} only`,
  };
}

function wall(
  plural: 'appinsts' | 'cloudlets',
  ownership: Rule,
  more: readonly Rule[],
  agents: readonly string[],
): readonly Manifest[] {
  return policy({
    name: `cloudlet-sites-${plural}`,
    match: {
      groups: [apiGroup],
      versions: [apiVersion],
      resources: [`${plural}/status`],
      operations: ['UPDATE'],
    },
    conditions: [{ name: 'a-site', expression: `'${siteGroup}' in request.userInfo.groups` }],
    variables,
    rules: [
      manager,
      ownership,
      sameObject,
      notBackwards,
      ...more,
      ...siteOperatorFields[plural].map(unchanged),
      conditionsUnchanged(agents),
    ],
  });
}

export function wallManifests(): readonly Manifest[] {
  const prefix = siteUser('');
  return [
    ...wall(
      'appinsts',
      {
        expression: `has(${before}.placement) && request.userInfo.username == '${prefix}' + ${before}.placement.cloudlet`,
        message: 'the AppInst is not placed at this site',
      },
      [placementNotBackwards],
      appInstAgentConditions,
    ),
    ...wall(
      'cloudlets',
      {
        expression: `request.userInfo.username == '${prefix}' + oldObject.metadata.name`,
        message: 'a site reports of its own Cloudlet only',
      },
      [],
      cloudletAgentConditions,
    ),
    ...sitesWriteNothingElse(),
  ];
}

/** Whatever RBAC somebody grants the group one day. */
function sitesWriteNothingElse(): readonly Manifest[] {
  return policy({
    name: 'cloudlet-sites-nothing-else',
    match: {
      groups: [apiGroup],
      versions: [apiVersion],
      resources: ['*/*'],
      operations: ['CREATE', 'UPDATE', 'DELETE'],
    },
    conditions: [
      { name: 'a-site', expression: `'${siteGroup}' in request.userInfo.groups` },
      {
        name: 'no-report',
        expression:
          "!(request.operation == 'UPDATE' && request.subResource == 'status' && request.resource.resource in ['appinsts', 'cloudlets'])",
      },
    ],
    rules: [{ expression: 'false', message: 'a site reports status and writes nothing else' }],
  });
}
