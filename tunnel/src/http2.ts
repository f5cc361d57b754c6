/** HTTP/2 as both ends of the tunnel set it up; Node's defaults stall or refuse long before. */
import { limits } from './wire.ts';

const mebibyte = 1024 * 1024;

export const http2Settings = {
  settings: {
    initialWindowSize: limits.sessionWindowBytes,
    maxConcurrentStreams: limits.maxSessions + 8,
    maxHeaderListSize: 16_384,
    enablePush: false,
  },
  maxHeaderListPairs: 64,
  /** MiB; every session may hold its window in both directions. */
  maxSessionMemory: 2 * limits.maxSessions + 16,
  maxSessionInvalidFrames: 100,
} as const;

/** Of all streams together. A stalled stream does not use it up: Node gives it back as bytes come in. */
export const connectionWindowBytes = 16 * mebibyte;
