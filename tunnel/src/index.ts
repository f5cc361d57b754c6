export * from './wire.ts';
export * from './identity/index.ts';
export type * from './hub/backend.ts';
export type * from './agent/handler.ts';
