/**
 * How Node is started for the region's processes: what can be set only there, and bounds their memory. The
 * Dockerfile says the same.
 */
/** The young generation would grow to 64 MiB under load. */
export const nodeFlags: readonly string[] = ['--max-semi-space-size=8'];

/**
 * Tunings of glibc's malloc(3): it gives back what a storm of handshakes took. With 300 sites a hub keeps
 * 164 MiB instead of 181.
 */
export const mallocTunings: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TOP_PAD_: '16384',
  MALLOC_TRIM_THRESHOLD_: '65536',
};
