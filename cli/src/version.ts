/** The plugin's version: set when it is bundled, `dev` when it runs from the sources. */
declare const CLOUDLET_CLI_VERSION: string | undefined;

export const version = typeof CLOUDLET_CLI_VERSION === 'string' ? CLOUDLET_CLI_VERSION : 'dev';
