// A proxy of a proxy of a proxy.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let proxy = {};
  for (;;) proxy = new Proxy(proxy, {});
}
