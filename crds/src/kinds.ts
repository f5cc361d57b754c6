/** Every kind of the API group, in the order in which they depend on each other. */
import { appKind } from './app.ts';
import { appInstKind } from './appinst.ts';
import { cloudletKind } from './cloudlet.ts';
import { cloudletLedgerKind } from './cloudlet-ledger.ts';
import { clusterKind } from './cluster.ts';
import { flavorKind } from './flavor.ts';
import { zoneKind } from './zone.ts';

export const kinds = [
  zoneKind,
  flavorKind,
  cloudletKind,
  cloudletLedgerKind,
  clusterKind,
  appKind,
  appInstKind,
] as const;
export type KindName = (typeof kinds)[number]['kind'];
