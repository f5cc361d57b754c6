/** The driver of platform Fake. */
export { createFakeDriver, type FakeDriver, type FakeDriverOptions } from './driver.ts';
export { type FakeInstance, FakePlatform, type FakePlatformOptions } from './platform.ts';
export { seededRandom, type Span } from './random.ts';
