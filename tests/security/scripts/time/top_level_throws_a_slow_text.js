// What the top level throws cannot be made a text of.
// expect: timed_out
// limits: wall_ms=200
throw { toString() { for (;;); } };
