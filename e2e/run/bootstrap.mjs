/**
 * First step of every npm script: brings the packages and the right Node, then hands over.
 *
 * Plain JavaScript that runs on Node 20 with nothing installed. Guarantees: announces what it installs,
 * installs only when `package-lock.json` changed since the last time, passes signals on, and ends as the
 * command ended. Usage: node e2e/run/bootstrap.mjs <command> [arguments]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const node = `${root}node_modules/node/bin/node`;
const stamp = `${root}node_modules/.lock-stamp`;

const [command, ...args] = process.argv.slice(2);
const script = `${root}e2e/run/${command}.ts`;
if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(command ?? '') || !existsSync(script)) {
  fail(`unknown command '${command ?? ''}': there is no e2e/run/${command ?? '<command>'}.ts`);
}
installPackages();
runCommand();

function installPackages() {
  const wanted = createHash('sha256')
    .update(readFileSync(`${root}package-lock.json`))
    .digest('hex');
  if (existsSync(node) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('Installing the packages of package-lock.json, Node 24 among them (npm ci) ...');
  const startedMs = Date.now();
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.error) fail(`npm cannot start (${result.error.message}): install npm 10 or later`);
  if (result.status !== 0) fail(`npm ci ended with ${result.status ?? result.signal}`);
  if (!existsSync(node)) {
    fail(
      "npm's package 'node' brought no binary: are install scripts off (npm config ignore-scripts)?",
    );
  }
  writeFileSync(stamp, wanted);
  console.error(`Packages installed in ${Math.round((Date.now() - startedMs) / 1000)} s.`);
}

function runCommand() {
  const child = spawn(node, [script, ...args], { cwd: root, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal sends Ctrl-C to the whole group: the child has it already, and cleans up.
    const sentToAll = signal === 'SIGINT' && process.stdin.isTTY;
    process.on(signal, () => sentToAll || child.kill(signal));
  }
  child.on('error', (error) => fail(`${node} cannot start: ${error.message}`));
  child.on('exit', (code, signal) => {
    process.exit(signal ? 128 + (constants.signals[signal] ?? 0) : (code ?? 1));
  });
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}
