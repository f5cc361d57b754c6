/** The plugin's doctor as a person uses it: what it names is done. */
import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { runCli } from '@cloudlet/cli';

/** The object that the doctor of a site says to create. */
export async function objectOfRemedy(kubeconfig: string, cloudlet: string): Promise<string> {
  let said = '';
  const takes = new Writable({
    write(chunk: Buffer, _encoding, done) {
      said += chunk.toString();
      done();
    },
  });
  const terminal = {
    ...{ stdin: Readable.from([]), stdout: takes, stderr: takes, isInteractive: false },
    ...{ setRaw: () => undefined, size: () => undefined, onResize: () => () => undefined },
  };
  const argv = ['doctor', cloudlet, '-o', 'json', '--kubeconfig', kubeconfig];
  await runCli(argv, { terminal, signal: AbortSignal.timeout(30_000), version: 'dev' });
  const remedies: string[] = [];
  JSON.parse(said, (key, value: unknown) => {
    if (key === 'remedy') remedies.push(String(value));
    return value;
  });
  const [, object] =
    remedies.map((text) => /echo '(.*)' \| kubectl create -f - && /.exec(text)).find(Boolean) ?? [];
  assert.ok(object, said);
  return object;
}
