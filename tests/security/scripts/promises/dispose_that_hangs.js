// `using` disposes of something for ever.
// expect: timed_out
// limits: wall_ms=200
async function process() {
  await using thing = { async [Symbol.asyncDispose]() { for (;;) await null; } };
  return 1;
}
