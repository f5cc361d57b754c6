/** Runs a health check as Argo CD does: the object is the global `obj`. For tests only. */
import { lauxlib, lua, lualib, to_luastring } from 'fengari';

/** @throws Error with what the interpreter says when the script does not run. */
export function runHealthCheck(
  script: string,
  object: object,
): { readonly status: string; readonly message: string } {
  const state = lauxlib.luaL_newstate();
  lualib.luaL_openlibs(state);
  const code = [
    `obj = ${literalOf(object)}`,
    `local function check()\n${script}\nend`,
    'local health = check()',
    'return health.status, health.message',
  ].join('\n');
  const result = lauxlib.luaL_dostring(state, to_luastring(code));
  if (result !== lua.LUA_OK) throw new Error(lua.lua_tojsstring(state, -1));
  return { status: lua.lua_tojsstring(state, -2), message: lua.lua_tojsstring(state, -1) };
}

/** JSON as Lua writes it. */
function literalOf(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literalOf).join(', ')}}`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => `[${quoted(name)}] = ${literalOf(member)}`)
      .join(', ')}}`;
  return typeof value === 'string' ? quoted(value) : value === null ? 'nil' : JSON.stringify(value);
}

const quoted = (text: string): string =>
  `"${text.replace(/[^ !#-[\]-~]/g, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)}"`;
