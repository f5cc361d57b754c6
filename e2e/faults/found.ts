/** What was found, with what leads to it. */
export class FaultsFound extends Error {
  override readonly name = 'FaultsFound';
}
