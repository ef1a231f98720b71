// The same with words that share their beginnings.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return /^(?:a|aa|a)*$/.exec(`${"a".repeat(60)}!`);
}
