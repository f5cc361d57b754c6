/** The agent's version: set when it is bundled, `dev` when it runs from the sources. */
declare const CLOUDLET_AGENT_VERSION: string | undefined;

export const agentVersion =
  typeof CLOUDLET_AGENT_VERSION === 'string' ? CLOUDLET_AGENT_VERSION : 'dev';
