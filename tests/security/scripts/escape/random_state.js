// The state of the generator is nobody's to set or to read.
// expect: succeeded
// output: [true,true]
function process() {
  const first = Math.random();
  const { random } = Math;
  const bound = random.call({ a: 0, b: 0, c: 0, d: 0 });
  return [first !== bound, [first, bound, random()].every((n) => n >= 0 && n < 1)];
}
