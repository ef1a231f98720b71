// What the top level throws cannot be made a text of.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
throw { toString() { for (;;); } };
