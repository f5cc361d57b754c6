/**
 * Compose files as a swarm takes them: `docker stack deploy` as a pure function.
 *
 * Nothing here talks to an engine; the driver makes what a StackPlan says.
 */
export {
  type ComposeInput,
  type ConvertOptions,
  convertCompose,
  convertImage,
  convertPlan,
} from './convert-compose.ts';
export {
  type EngineFacts,
  sameService,
  serviceDifferences,
  unknownKeys,
  withoutUnknown,
} from './digest.ts';
export {
  appFromCompose,
  composeFiles,
  type FromCompose,
  type FromComposeOptions,
} from './from-compose.ts';
export { ComposeError, type Mistake } from './findings.ts';
export {
  bindReferences,
  type ObjectIds,
  type PublishedPort,
  type StackFileObject,
  type StackNetwork,
  type StackPlan,
  type StackService,
  type StackVolume,
} from './stack-plan.ts';
export type * from './engine.ts';
export { stackLabels } from './convert/names.ts';
