/** A process that owns a set of phones and does nothing else; the test kills it. */
import { startPhones } from '../testbed/index.ts';

const [prefix = '', net = '', state = ''] = process.argv.slice(2);
await startPhones({ count: 2, prefix, net, state });
process.send?.('phones run');
setInterval(() => undefined, 60_000);
