// An error with a cause, with a cause, with a cause.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let cause;
  for (;;) cause = new Error("because", { cause });
}
