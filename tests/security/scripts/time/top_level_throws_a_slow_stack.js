// What the top level throws has a stack that cannot be read.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
throw { get stack() { for (;;); } };
