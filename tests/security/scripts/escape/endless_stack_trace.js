// As many frames as there are: all of them the user's, however many.
// expect: succeeded
// output: []
function process() {
  try { Error.stackTraceLimit = Infinity; } catch {}
  const dive = (depth) => (depth === 0 ? new Error("deep").stack : dive(depth - 1));
  return dive(5_000).split("\n").slice(1).filter((line) => !/process\.js:\d+:\d+/.test(line));
}
