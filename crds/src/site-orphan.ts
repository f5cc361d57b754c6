/** What a site has and the region's orders do not cover. */
import { z } from 'zod';

export const siteOrphan = z.object({
  id: z.string().max(64).describe('Instance id.'),
  name: z.string().max(253).optional().describe('What it is called at the site.'),
  sequence: z
    .int()
    .min(0)
    .optional()
    .describe('Sequence of the last order that the site has of it; absent: it has none.'),
});
export type SiteOrphan = z.infer<typeof siteOrphan>;
