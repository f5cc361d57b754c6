export * from './flags.ts';
export * from './clock.ts';
export * from './errors.ts';
export * from './logger.ts';
export * from './process.ts';
export * from './retry.ts';
export * from './canonical.ts';
