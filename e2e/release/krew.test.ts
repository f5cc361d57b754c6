/** The manifest for krew, by the rules of its own validation: name, version, selectors, files and bin. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { krewManifest } from './krew.ts';

interface Manifest {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly version: string;
    readonly homepage: string;
    readonly shortDescription: string;
    readonly platforms: readonly {
      readonly uri: string;
      readonly sha256: string;
      readonly bin: string;
      readonly files: readonly { readonly from: string }[];
    }[];
  };
}

const sha256 = 'ab'.repeat(32);
const base = 'https://git.example/org/cloudlet-operator/releases/download';

test('the manifest names the archive, its checksum and the program in it', () => {
  const uri = `${base}/v1.2.3/kubectl-cloudlet-1.2.3.tar.gz`;
  const { metadata, spec } = parse(krewManifest({ version: '1.2.3', uri, sha256 })) as Manifest;
  assert.match(metadata.name, /^[a-z][a-z0-9-]*$/);
  assert.match(spec.version, /^v\d+\.\d+\.\d+$/);
  assert.equal(spec.homepage, 'https://git.example/org/cloudlet-operator');
  assert.ok(spec.shortDescription.length <= 50, 'krew cuts longer ones');
  assert.equal(spec.platforms.length, 4);
  for (const platform of spec.platforms) {
    assert.equal(platform.uri, uri);
    assert.match(platform.sha256, /^[0-9a-f]{64}$/);
    assert.ok(platform.files.some(({ from }) => from === platform.bin));
  }
});
