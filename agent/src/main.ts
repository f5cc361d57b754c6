/**
 * What node starts: sets the limits of the JavaScript engine before anything else is loaded, since a phone
 * has little memory and the agent idles most of its life, then runs the agent, or with `node` as its first
 * argument a node's helper, which loads nothing of the agent, or with `doctor` what looks for what is wrong.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--max-semi-space-size=1');
setFlagsFromString('--optimize-for-size');

const [mode] = process.argv.slice(2);
if (mode === 'node') {
  const { main } = await import('./node-process.ts');
  process.exitCode = await main(process.argv.slice(3));
} else if (mode === 'doctor') {
  const { main } = await import('./doctor/main.ts');
  process.exitCode = await main(process.argv.slice(3), process.env);
} else {
  const { main } = await import('./agent-process.ts');
  process.exitCode = await main(process.argv.slice(2), process.env);
}
