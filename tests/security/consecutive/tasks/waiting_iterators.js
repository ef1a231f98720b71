// Leaves async iterators waiting, with a `return` that runs when they are closed.
// output: [[1,2],"undefined"]
function process() {
  globalThis.open = (async function* () {
    try { yield 1; yield 2; } finally { globalThis.closed = 1; }
  })();
  open.next();
  return 1;
}
// ---- second
async function process() {
  const list = [];
  if (typeof open !== "undefined") await open.return();
  for await (const value of (async function* () { yield 1; yield 2; })()) list.push(value);
  return [list, typeof closed];
}
