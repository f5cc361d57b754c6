/** What a world looked like when one of its stories failed: told beside the failure, for whoever was not there. */
import { describeError } from '@cloudlet/runtime/base';
import type { Phone } from '../testbed/index.ts';
import type { World } from './swarm-world.ts';

const lastLines = 25;

/** For a file's own `afterEach`, whose context is that of the test. @returns whether it failed. */
export async function tellWhenFailed(context: unknown, world: World | undefined): Promise<boolean> {
  const { name, passed } = context as { readonly name: string; readonly passed: boolean };
  if (passed || !world) return false;
  const parts = [`after the failure of: ${name}`];
  const tell = async (what: string, ask: () => string | Promise<string>): Promise<void> => {
    const told = await Promise.resolve().then(ask).catch(describeError);
    parts.push(`--- ${what}`, told.trimEnd());
  };
  const { phones, site, region } = world;
  await tell('AppInsts', () =>
    world.kubectl('get', 'appinsts', '-o', 'jsonpath={.items[*].status}'),
  );
  await tell('Leases', () => world.kubectl('get', 'leases', '--namespace', 'cloudlet-system'));
  for (const phone of phones.phones) {
    await tell(`nodes, by ${phone.name}`, () => phone.docker(['node', 'ls']));
    await tell(`services, by ${phone.name}`, () => phone.docker(['service', 'ls']));
    await tell(`tasks, by ${phone.name}`, () => tasksBy(phone));
    await tell(`containers of ${phone.name}`, () => phone.docker(['ps', '--all']));
  }
  for (const component of [...site.agents, region.operator, ...region.hubs])
    await tell(`log of ${component.name}`, () => component.tail(lastLines));
  process.stdout.write(`${parts.join('\n')}\n`);
  return true;
}

async function tasksBy(phone: Phone): Promise<string> {
  const services = (await phone.docker(['service', 'ls', '--quiet'])).split('\n').filter(Boolean);
  if (services.length === 0) return 'none';
  const format = '{{.ID}} {{.Name}} {{.Node}} {{.DesiredState}}: {{.CurrentState}} {{.Error}}';
  return phone.docker(['service', 'ps', '--no-trunc', '--format', format, ...services]);
}
