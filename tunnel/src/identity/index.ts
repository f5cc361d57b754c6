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
  verifyAgent,
  verifyRole,
  type RegionRole,
  type VerifyOptions,
} from './certificate.ts';
