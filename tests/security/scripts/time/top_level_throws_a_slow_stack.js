// What the top level throws has a stack that cannot be read.
// expect: timed_out
// limits: wall_ms=200
throw { get stack() { for (;;); } };
