/** HAProxy as the load balancer of a swarm's managers. */
export { LoadBalancer, type LoadBalancerOptions } from './load-balancer.ts';
