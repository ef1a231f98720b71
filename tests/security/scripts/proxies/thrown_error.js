// A proxy of an error, whose traps throw what they were asked for.
// expect: threw
// error: object: [object]
function process() {
  throw new Proxy(new Error("x"), { get(target, key) { throw key; } });
}
