// The loop is in a class that is being defined.
// expect: timed_out
// limits: wall_ms=200
class Slow {
  static { for (;;); }
}
const process = () => new Slow();
