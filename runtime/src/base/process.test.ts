import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineError, UnreachableError } from './errors.ts';
import { runCommand } from './process.ts';

const node = process.execPath;
const run = (script: string, options: Parameters<typeof runCommand>[2] = {}, ...args: string[]) =>
  runCommand(node, ['-e', script, '--', ...args], options);

test('a program gets its input and gives its output', async () => {
  const script = 'process.stdin.pipe(process.stdout); console.error("note")';
  const result = await run(script, { input: 'hello' });
  assert.deepEqual(result, { code: 0, stdout: 'hello', stderr: 'note\n' });
});

test('an argument reaches the program as it is, whatever a shell would make of it', async () => {
  const argument = '$(id); `id` "quoted" * \\ \n';
  const result = await run('process.stdout.write(process.argv[1])', {}, argument);
  assert.equal(result.stdout, argument);
});

test('a program that fails is told by name, code and the end of what it said', async () => {
  await assert.rejects(run('console.error("no such thing"); process.exit(3)'), (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.match(error.message, /-e .*exit 3: no such thing/s);
    return true;
  });
});

test('an exit code that is allowed is no failure', async () => {
  assert.equal((await run('process.exit(3)', { allow: [3] })).code, 3);
});

test('a program that does not exist cannot start', async () => {
  await assert.rejects(runCommand('/nonexistent/program', []), /cannot start/);
});

test('a program that is late is ended', async () => {
  const late = run('setInterval(() => {}, 1000)', { timeoutMs: 300 });
  await assert.rejects(late, DeadlineError);
});

test('a program ends with the signal that it was given', async () => {
  const stop = new AbortController();
  const running = run('console.log("up"); setInterval(() => {}, 1000)', {
    signal: stop.signal,
    onOutput: () => stop.abort(new Error('shutting down')),
  });
  await assert.rejects(running, /shutting down/);
  await assert.rejects(run('1', { signal: stop.signal }), /shutting down/);
});

test('only the end of a long output is kept', async () => {
  const script = 'process.stdout.write("a".repeat(5000) + "end")';
  const result = await run(script, { maxBuffer: 10 });
  assert.equal(result.stdout, 'aaaaaaaend');
});

test('a program that does not read its input fails by its own exit code only', async () => {
  const result = await run('process.exit(0)', { input: 'x'.repeat(1_000_000) });
  assert.equal(result.code, 0);
});
