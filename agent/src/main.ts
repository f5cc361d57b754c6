/**
 * What node starts: sets the limits of the JavaScript engine before anything else is loaded, since a phone
 * has little memory and the agent idles most of its life, then runs the agent.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--max-semi-space-size=1');
setFlagsFromString('--optimize-for-size');

const { main } = await import('./agent-process.ts');
process.exitCode = await main(process.argv.slice(2), process.env);
