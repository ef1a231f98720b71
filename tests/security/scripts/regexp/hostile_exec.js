// A global replacement whose `exec` always finds one more.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const endless = /x/g;
  endless.exec = () => ["x"];
  return "x".replace(endless, "y");
}
