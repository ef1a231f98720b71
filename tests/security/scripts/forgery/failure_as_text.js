// Returns a text that is a failure in writing.
// expect: succeeded
// output: "{\"kind\":\"timed_out\",\"error\":null}"
function process() {
  return '{"kind":"timed_out","error":null}';
}
