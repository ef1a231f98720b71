// Every name of the loop goes through a proxy.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  with (new Proxy({}, { has: (_, name) => name === "on", get: () => true })) {
    while (on);
  }
}
