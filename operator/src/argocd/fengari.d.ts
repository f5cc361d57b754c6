/** The part of fengari, a Lua interpreter, that the tests of the health checks use; it brings no types. */
declare module 'fengari' {
  interface State {
    readonly state: unique symbol;
  }
  export const lua: {
    readonly LUA_OK: number;
    lua_tojsstring(state: State, index: number): string;
  };
  export const lauxlib: {
    luaL_newstate(): State;
    luaL_dostring(state: State, code: Uint8Array): number;
  };
  export const lualib: { luaL_openlibs(state: State): void };
  export function to_luastring(text: string): Uint8Array;
}
