// The same with words that share their beginnings.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return /^(?:a|aa|a)*$/.exec(`${"a".repeat(60)}!`);
}
