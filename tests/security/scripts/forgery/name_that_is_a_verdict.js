// The name of an outcome as the name of an error.
// expect: threw
// error: OutOfMemory: heap limit
function process() {
  throw Object.assign(new Error("heap limit"), { name: "OutOfMemory" });
}
