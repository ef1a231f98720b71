// The loop is in a default value, before the body begins.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process(data, context, slow = (() => { for (;;); })()) {
  return slow;
}
