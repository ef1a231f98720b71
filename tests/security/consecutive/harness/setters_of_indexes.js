// Defines setters for the indexes of lists, through which lists of the platform would leak.
// output: [["a","b"],"undefined"]
// cell: retired
function process() {
  globalThis.caught = [];
  for (let i = 0; i < 4; i++) {
    Object.defineProperty(Object.prototype, i, {
      configurable: true, get: () => "left", set(value) { globalThis.caught[9] = value; },
    });
  }
  return 1;
}
// ---- second
function process() {
  const list = [];
  list[0] = "a";
  list.push("b");
  return [list, typeof caught];
}
