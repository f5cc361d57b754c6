/** Certificates: of the region's authority, of a site's own, and what a join says of them. */
export * from './authority.ts';
export * from './csr.ts';
export * from './join.ts';
export * from './key.ts';
export * from './store.ts';
export {
  agentCommonName,
  agentUri,
  fingerprintOf,
  isCloudletName,
  parseCertificates,
  pinOf,
  roleCommonName,
  siteCommonName,
  verifyAgent,
  verifyRole,
  type RegionRole,
  type SiteRole,
  type VerifyOptions,
} from './certificate.ts';
