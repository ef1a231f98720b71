// The loop is in a class that is being defined.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
class Slow {
  static { for (;;); }
}
const process = () => new Slow();
