// `using` disposes of something for ever.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
async function process() {
  await using thing = { async [Symbol.asyncDispose]() { for (;;) await null; } };
  return 1;
}
