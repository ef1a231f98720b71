// A microtask changes the result after it was returned, which is too late.
// expect: succeeded
// output: {"state":"returned"}
function process() {
  const result = { state: "returned" };
  Promise.resolve().then(() => { result.state = "changed"; });
  return result;
}
