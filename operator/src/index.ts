/** What other rooms may use of the operator: names, kinds, the plan, placement, and the process itself. */
export * from './kinds.ts';
export * from './names.ts';
export { portsTakenBy } from './ledger/entries.ts';
export { defaultPortRange, type PortRange } from './ledger/ports.ts';
export { instanceIdOf, renderPlan, type RenderInput } from './plan/render.ts';
export { revisionName } from './plan/revision.ts';
export { explainAppInst, type ExplainInput } from './placement/explain.ts';
export {
  decidePlacement,
  explainPlacement,
  type PlacementDecision,
  type Score,
  type SiteExplanation,
} from './placement/place.ts';
export { formatBytes, parseQuantity, type Resources, resourcesOf } from './placement/quantity.ts';
export type { PlacementRequest, Refusal, SiteView } from './placement/site.ts';
export { operatorFlags, runOperator } from './operator-main.ts';
