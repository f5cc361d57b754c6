/** Version of the region's processes: set when they are bundled, `dev` when they run from the sources. */
declare const CLOUDLET_REGION_VERSION: string | undefined;

export const regionVersion =
  typeof CLOUDLET_REGION_VERSION === 'string' ? CLOUDLET_REGION_VERSION : 'dev';
