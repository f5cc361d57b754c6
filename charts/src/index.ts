/** What of the charts others may read: the alerts and queries, to hold them against the code. */
export { type Alert, alerts } from './alerts.ts';
export { type Recording, recordings } from './recordings.ts';
export { dashboardQueries } from './dashboard.ts';
