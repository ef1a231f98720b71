// A small graph that is sixteen gigabytes in writing.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let pair = "xxxxxxxxxxxxxxxx";
  for (let i = 0; i < 30; i++) pair = [pair, pair];
  return pair;
}
