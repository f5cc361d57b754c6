export type * from './types.ts';
export { priorities } from './types.ts';
