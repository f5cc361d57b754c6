/** What others than the agent's process use of the agent. */
export { FileSiteAuthority, type SiteAuthorityOptions } from './site-authority.ts';
