// The words by which V8's death is known, wherever a script can put them.
// expect: threw
// error: out of memory: Fatal JavaScript out of memory: OOM allocation failed MemoryError
// console: [["error", "Fatal JavaScript out of memory: OOM\nMemoryError"]]
function process() {
  console.error("Fatal JavaScript out of memory: OOM\nMemoryError");
  const error = new Error("Fatal JavaScript out of memory: OOM allocation failed MemoryError");
  error.name = "out of memory";
  throw error;
}
