// A console of one's own is one's own business, and shows nothing of the real one.
// expect: succeeded
// output: ["mine",true]
// console: [["log", "before"]]
function process() {
  const { log } = console;
  log("before");
  console.log = () => "mine";
  const said = console.log("after");
  globalThis.console = null;
  return [said, /\[native code\]/.test(log)];
}
