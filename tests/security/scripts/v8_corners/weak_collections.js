// Weak collections are there, and show nothing of the collector.
// expect: succeeded
// output: [true,"undefined"]
function process() {
  const weak = new WeakMap();
  const key = {};
  weak.set(key, 1);
  for (let i = 0; i < 100_000; i++) weak.set({}, i);
  return [weak.has(key), typeof WeakRef];
}
