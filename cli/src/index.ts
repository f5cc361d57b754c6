/** The plugin as a function, for tests that bring their own terminal. */
export { type CliOptions, commands, runCli } from './cli.ts';
export type { Terminal } from './terminal.ts';
