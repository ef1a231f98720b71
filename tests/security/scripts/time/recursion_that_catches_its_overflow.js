// Each overflow of the stack starts two more.
// expect: timed_out
// limits: wall_ms=200
function process() {
  const dive = () => {
    try { dive(); } catch { dive(); }
  };
  dive();
}
