export * from './wire.ts';
export type * from './hub/backend.ts';
export type * from './agent/handler.ts';
