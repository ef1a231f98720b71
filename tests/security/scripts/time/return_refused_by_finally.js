// Every attempt to leave the function is taken back.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const forever = () => {
    while (true) {
      try { return 1; } finally { continue; }
    }
  };
  return forever();
}
