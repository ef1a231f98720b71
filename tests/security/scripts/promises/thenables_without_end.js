// Each thenable resolves to the next.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const next = () => ({ then(resolve) { resolve(next()); } });
  return next();
}
