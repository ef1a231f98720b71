// Each overflow of the stack starts two more.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const dive = () => {
    try { dive(); } catch { dive(); }
  };
  dive();
}
