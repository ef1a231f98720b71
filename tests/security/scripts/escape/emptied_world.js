// Everything that can be deleted is deleted.
// expect: succeeded
// output: [1,2]
function process() {
  const { ownKeys, deleteProperty, getPrototypeOf } = Reflect;
  const objects = [Array.prototype, Promise.prototype, Function.prototype, String.prototype];
  objects.push(JSON, Reflect, Promise, Math, Symbol, RegExp.prototype, Error.prototype, globalThis);
  for (let i = 0; i < objects.length; i++) {
    const names = ownKeys(objects[i]);
    for (let j = 0; j < names.length; j++) deleteProperty(objects[i], names[j]);
  }
  return [1, 2];
}
