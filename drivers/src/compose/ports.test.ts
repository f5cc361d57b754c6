/** How ports of a stack and of an App come to be published, with and without IPVS. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PlanPort } from '@cloudlet/crds';
import { type ComposeError, convertCompose, type StackPlan } from './index.ts';

const shop = `
services:
  web:
    image: nginx
    ports: ["8080:80", {target: 9100, published: 9100, mode: host}]
  api:
    image: api
    expose: [3000]
    deploy: {endpoint_mode: vip}
  db: {image: postgres}
`;

const convert = (text: string, ports?: readonly PlanPort[], ipvs = true): StackPlan =>
  convertCompose({ text, stack: 's', ipvs, ...(ports ? { ports } : {}) });

const endpoint = (plan: StackPlan, name: string) =>
  plan.services.find((service) => service.name === name)?.spec.EndpointSpec;

const http: PlanPort = { name: 'http', protocol: 'HTTP', port: 80, publicPort: 8080 };

describe('with IPVS', () => {
  test('ports are published as the file says, and told for the load balancer', () => {
    const plan = convert(shop);
    assert.deepEqual(plan.published, [
      { service: 'web', protocol: 'tcp', target: 80, published: 8080, mode: 'ingress' },
      { service: 'web', protocol: 'tcp', target: 9100, published: 9100, mode: 'host' },
    ]);
    assert.equal(endpoint(plan, 'api')?.Mode, 'vip');
  });
});

describe('without IPVS', () => {
  const plan = convert(shop, undefined, false);

  test('names resolve to tasks, and ports of the mesh become ports that the engine picks', () => {
    assert.deepEqual(endpoint(plan, 'web'), {
      Mode: 'dnsrr',
      Ports: [
        { Protocol: 'tcp', TargetPort: 80, PublishMode: 'host' },
        { TargetPort: 9100, PublishedPort: 9100, PublishMode: 'host' },
      ],
    });
    assert.deepEqual(endpoint(plan, 'api'), { Mode: 'dnsrr' });
    assert.deepEqual(plan.published[0], {
      service: 'web',
      protocol: 'tcp',
      target: 80,
      mode: 'host',
    });
  });

  test('each change is told with its path', () => {
    const paths = plan.warnings
      .filter((warning) => warning.includes('IPVS'))
      .map((warning) => warning.split(':')[0]);
    assert.deepEqual(paths, ['services.web.ports', 'services.api.deploy.endpoint_mode']);
  });

  test('two ports of the mesh for one of the container become one', () => {
    const twice = convert('services: {a: {image: a, ports: ["80:80", "81:80"]}}', undefined, false);
    assert.equal(endpoint(twice, 'a')?.Ports?.length, 1);
  });
});

describe('a port of the App', () => {
  test('is served by the service that publishes it', () => {
    const [first] = convert(shop, [http]).published;
    assert.deepEqual(first, {
      port: 'http',
      service: 'web',
      protocol: 'tcp',
      target: 80,
      published: 8080,
      mode: 'ingress',
    });
  });

  test('that a service only exposes is published on a port that the engine picks', () => {
    const plan = convert(shop, [{ name: 'api', protocol: 'TCP', port: 3000, publicPort: 3000 }]);
    assert.deepEqual(endpoint(plan, 'api')?.Ports, [
      { Protocol: 'tcp', TargetPort: 3000, PublishMode: 'host' },
    ]);
    assert.deepEqual(plan.published[0], {
      port: 'api',
      service: 'api',
      protocol: 'tcp',
      target: 3000,
      mode: 'host',
    });
  });

  test('may name its service, and a range of ports', () => {
    const ports: PlanPort[] = [
      {
        name: 'range',
        protocol: 'UDP',
        port: 5000,
        endPort: 5002,
        publicPort: 5000,
        service: 'db',
      },
    ];
    const { published } = convert(shop, ports);
    assert.deepEqual(
      published.filter(({ port }) => port === 'range').map(({ target }) => target),
      [5000, 5001, 5002],
    );
    assert.ok(published.every(({ port, protocol }) => port !== 'range' || protocol === 'udp'));
  });

  test('that is internal only is not published', () => {
    const plan = convert(shop, [{ name: 'api', protocol: 'TCP', port: 3000, internalOnly: true }]);
    assert.equal(endpoint(plan, 'api')?.Ports, undefined);
    assert.ok(plan.published.every(({ port }) => port === undefined));
  });

  test('that no service, or more than one, can mean is refused with the remedy', () => {
    const both = 'services: {a: {image: a, expose: [80]}, b: {image: b, expose: [80]}}';
    const cases: readonly (readonly [string, PlanPort, RegExp])[] = [
      [shop, { ...http, port: 81 }, /no service .*field `service`/],
      [both, http, /a and b have it/],
      [shop, { ...http, service: 'cache' }, /cache, which the compose file does not have/],
    ];
    for (const [text, port, message] of cases)
      assert.throws(
        () => convert(text, [port]),
        (error: ComposeError) =>
          error.mistakes[0]?.path === 'App port http' && message.test(error.message),
      );
  });

  test('of a stack of one service needs no word in the file', () => {
    const plan = convert('services: {only: {image: a}}', [http], false);
    assert.equal(plan.published[0]?.service, 'only');
  });
});
