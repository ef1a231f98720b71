// A tag that calls itself through its own substitution.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const tag = (_, value) => value;
  for (;;) tag`${String.raw`\u00${1}`}`;
}
