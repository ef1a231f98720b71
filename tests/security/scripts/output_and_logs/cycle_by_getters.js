// A result that grows a level each time it is looked at: the stack ends it.
// expect: invalid_result
// says: nested too deeply
function process() {
  const level = () => new Proxy({}, { ownKeys: () => ["a"], get: (_, key) => (key === "a" ? level() : undefined),
    getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }) });
  return level();
}
