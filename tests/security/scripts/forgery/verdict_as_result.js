// Returns an object that has the shape of a failure.
// expect: succeeded
// output: {"kind":"out_of_memory","evidence":"heap limit","error":null}
function process() {
  return { kind: "out_of_memory", evidence: "heap limit", error: null };
}
