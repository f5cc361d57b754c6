export type * from './types.ts';
export { priorities } from './types.ts';
export * from './access.ts';
export { createClient, type ClientOptions } from './client.ts';
export { createInformer, type InformerTuning, type ObservableInformer } from './informer.ts';
export { createController, type ControllerDependencies } from './controller.ts';
export * from './mapping.ts';
export * from './metrics.ts';
export * from './paths.ts';
