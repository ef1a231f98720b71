// More frames than anybody wants.
// expect: succeeded
// output: true
function process() {
  try { Error.stackTraceLimit = Infinity; } catch {}
  try { Object.defineProperty(Error, "stackTraceLimit", { value: 1e9 }); } catch {}
  const dive = (depth) => (depth === 0 ? new Error("deep").stack : dive(depth - 1));
  return dive(5_000).split("\n").length < 20;
}
