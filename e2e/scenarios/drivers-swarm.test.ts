/** The swarm driver against real engines: the conformance suite, and what only a swarm does. */
import { after, before, suite } from 'node:test';
import { conformance, type Harness } from '@cloudlet/drivers/conformance';
import { phonesUnavailable } from '../testbed/phones/phones.ts';
import {
  nearLabel,
  pushSwarmImages,
  swarmBed,
  type SwarmBed,
  swarmHarness,
  type SwarmImages,
} from './drivers-swarm-bed.ts';

suite('the swarm driver', { skip: phonesUnavailable() ?? false }, () => {
  let bed: SwarmBed;
  let images: SwarmImages;
  before(async () => {
    bed = await swarmBed(3);
    images = await pushSwarmImages(bed.registry);
  });
  after(() => bed.close());

  const makeHarness = async (): Promise<Harness> => {
    const leader = await bed.leader();
    await leader.docker(['node', 'update', '--label-add', `${nearLabel}=yes`, leader.name]);
    return swarmHarness(bed, leader, images);
  };
  conformance(makeHarness, {
    name: 'docker-swarm',
    capabilities: ['exec', 'logs', 'crashing images', 'volumes', 'checkpoints', 'replicas'],
  });
});
