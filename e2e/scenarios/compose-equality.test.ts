/**
 * A person who ran a stack with `docker stack deploy` gets the same one from Cloudlet Operator: each file of
 * the corpus is deployed by the real tool and by us, under the same name on the same swarm, and what the
 * engine stored is compared, but for ids, versions and times.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  ComposeError,
  convertCompose,
  sameService,
  serviceDifferences,
} from '@cloudlet/drivers/compose';
import { type Phones, phonesForTest, phonesUnavailable } from '../testbed/phones/phones.ts';
import { formSwarm } from '../testbed/phones/swarm.ts';
import {
  corpus,
  corpusEnv,
  corpusFiles,
  type CorpusFile,
  recorded,
  recordedVersion,
  testdata,
} from '../../drivers/src/compose/testdata/corpus.ts';
import { dockerVersion, record, stackDeploy } from './compose/docker-cli.ts';
import {
  deployPlan,
  EngineApi,
  EngineRefusal,
  networkNames,
  observeStack,
  removeStack,
} from './compose/engine.ts';

const stack = 'equality';
const api = { version: '1.41' };
/** The tool reads `oom_score_adj` and forgets to send it. Engines before API 1.46 forget it, too. */
const forgottenByTool = 'oom-score.yml';

describe('compose files and docker stack deploy', { skip: phonesUnavailable() ?? false }, () => {
  let phones: Phones;
  let socket: string;
  let engine: EngineApi;

  before(async () => {
    phones = await phonesForTest({ count: 1, prefix: 'compose', net: '10.83.0', arm: false });
    await formSwarm(phones.phones, { managers: 1 });
    socket = phones.phones[0]?.socketPath ?? '';
    engine = new EngineApi(socket);
    api.version = String(
      ((await engine.expect('GET', '/version')) as { ApiVersion: string }).ApiVersion,
    );
    await makeOutsiders(engine);
  });

  after(async () => {
    await phones?.stop();
  });

  for (const file of corpus('corpus'))
    test(`${file.name} is the same stack by the tool and by us`, async () => {
      const [byTool, byUs] = [await deployByTool(file), await deployByUs(file)];
      if (file.name === forgottenByTool && atLeast(api.version, '1.46')) return;
      assert.deepEqual(byUs, byTool);
    });

  async function deployByTool(file: CorpusFile): Promise<unknown> {
    try {
      const { code, output } = await stackDeploy(socket, file.path, stack);
      return code === 0 ? await observeStack(engine, stack) : { refused: refusal(output) };
    } finally {
      await removeStack(engine, stack);
    }
  }

  async function deployByUs(file: CorpusFile): Promise<unknown> {
    const plan = ourPlan(file.text);
    try {
      await deployPlan(engine, plan);
      await assertNoUpdateNeeded(plan.services);
      return await observeStack(engine, stack);
    } catch (error) {
      if (error instanceof EngineRefusal) return { refused: refusal(error.message) };
      throw error;
    } finally {
      await removeStack(engine, stack);
    }
  }

  /** What was made is what is wanted, however it is read back; any change of it is not. */
  async function assertNoUpdateNeeded(
    services: ReturnType<typeof ourPlan>['services'],
  ): Promise<void> {
    const facts = { networkNames: await networkNames(engine), apiVersion: api.version };
    for (const { spec } of services) {
      for (const query of ['', '?insertDefaults=true']) {
        const path = `/services/${spec.Name}${query}`;
        const { Spec } = (await engine.expect('GET', path)) as { Spec: unknown };
        assert.deepEqual(serviceDifferences(spec, Spec, facts), [], path);
        const { ContainerSpec } = spec.TaskTemplate;
        const changed = {
          ...spec,
          TaskTemplate: {
            ...spec.TaskTemplate,
            ContainerSpec: { ...ContainerSpec, Env: [...(ContainerSpec.Env ?? []), 'NEW=1'] },
          },
        };
        assert.ok(!sameService(changed, Spec, facts));
      }
    }
  }

  test('the recorded answers of the tool are those of the tool at hand', async (context) => {
    const version = await dockerVersion();
    if (version !== recordedVersion()) {
      context.skip(`recorded of docker ${recordedVersion()}; here is ${version}`);
      return;
    }
    for (const folder of ['corpus', 'refused'] as const)
      for (const file of corpus(folder))
        assert.deepEqual(await record(file), recorded(folder, file.name), file.name);
  });

  for (const file of corpus('refused'))
    test(`${file.name} is refused by the tool and by us`, async () => {
      const { code } = await stackDeploy(socket, file.path, stack);
      await removeStack(engine, stack);
      assert.equal(code, 1);
      assert.throws(() => ourPlan(file.text), ComposeError);
    });
});

function ourPlan(text: string) {
  return convertCompose({
    text,
    stack,
    cliNames: true,
    env: corpusEnv,
    files: corpusFiles(),
    workingDir: `${testdata}/corpus`,
  });
}

/** Objects that files of the corpus call external. */
async function makeOutsiders(engine: EngineApi): Promise<void> {
  for (const Name of ['corpus-outside', 'corpus-other'])
    await engine.expect('POST', '/networks/create', { Name, Driver: 'overlay' });
  const Data = Buffer.from('outside').toString('base64');
  await engine.expect('POST', '/configs/create', {
    Name: 'corpus-outside-config',
    Labels: {},
    Data,
  });
  await engine.expect('POST', '/secrets/create', {
    Name: 'corpus-outside-secret',
    Labels: {},
    Data,
  });
}

/** The engine's own words in what the tool says of a refusal. */
function refusal(output: string): string {
  return output.replace(/^[\s\S]*Error response from daemon: /, '').trim();
}

function atLeast(version: string, other: string): boolean {
  return Number(version.split('.')[1]) >= Number(other.split('.')[1]);
}
