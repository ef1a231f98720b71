// Levels beyond any stack.
// expect: invalid_result
// says: nested too deeply
function process() {
  let deep = 1;
  for (let i = 0; i < 1_000_000; i++) deep = { deep };
  return new Proxy(deep, {});
}
