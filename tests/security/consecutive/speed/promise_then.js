// Makes `await` slow for all realms of its isolate.
// cell: retired
// output: [1,2]
function process() {
  const { then } = Promise.prototype;
  Promise.prototype.then = function (...args) { return then.apply(this, [() => "left", ...args]); };
  return 1;
}
// ---- second
const process = async () => [await 1, await Promise.resolve(1).then((x) => x + 1)];
