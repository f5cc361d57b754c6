/** The driver of platform Fake. */
export { createFakeDriver, type FakeDriver, type FakeDriverOptions } from './driver.ts';
export { FakePlatform, type FakePlatformOptions } from './platform.ts';
export { seededRandom, type Span } from './random.ts';
