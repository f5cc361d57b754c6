/** The address by which the other nodes know it; a leader tells 0.0.0.0 of itself. */
export function addressOf(node: {
  readonly Status: { readonly Addr?: string };
  readonly ManagerStatus?: { readonly Addr: string };
}): string {
  const address = node.Status.Addr;
  if (address && address !== '0.0.0.0') return address;
  return node.ManagerStatus?.Addr.replace(/:\d+$/, '') ?? '127.0.0.1';
}
