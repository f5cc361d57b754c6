/** For tests of other rooms that need an agent, or a region for one. */
export { type AgentChild, type AgentChildOptions, startAgent } from './agent-child.ts';
export { aPlan, aRemoval, hashOf } from './builders.ts';
export { eventually, TestRegion } from './region.ts';
export { type RunOptions, runAgent } from '../agent-process.ts';
export { agentFlags } from '../options.ts';
