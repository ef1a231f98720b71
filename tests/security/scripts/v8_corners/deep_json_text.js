// Fifty million brackets that are never closed.
// expect: threw
// limits: memory_bytes=536870912
// error: SyntaxError
function process() {
  return JSON.parse("[".repeat(1_000_000));
}
