/** Sizes of the images, of the architecture for which they are largest: on disk, and as they are transferred. */
import { sizesOf } from '../images/oci.ts';
import { architecturesOf, bundleOf, productImage, products } from '../images/product.ts';
import type { Bench } from './contract.ts';

const mib = 2 ** 20;

export const bench: Bench = {
  prefix: 'image',
  needs: [],
  async run({ progress, signal }) {
    const figures: Record<string, number> = {};
    for (const product of products) {
      const bundle = await bundleOf(product);
      const sizes = [];
      for (const architecture of architecturesOf[product]) {
        signal.throwIfAborted();
        sizes.push(await sizesOf(await productImage(bundle, architecture, { progress })));
      }
      figures[`${product}.mib`] = Math.max(...sizes.map(({ unpacked }) => unpacked)) / mib;
      const transferred = Math.max(...sizes.map((size) => size.transferred));
      figures[`${product}.transferredMib`] = transferred / mib;
    }
    return { figures };
  },
};
