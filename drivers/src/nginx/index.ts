/** nginx as the load balancer of UDP ports, which HAProxy does not balance. */
export { UdpBalancer, type UdpBalancerOptions } from './udp-balancer.ts';
