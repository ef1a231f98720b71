// An array whose length is an accessor of its class.
// expect: succeeded
// output: ["a","b"]
function process() {
  class Odd extends Array { static get [Symbol.species]() { return Object; } }
  return Odd.of("a", "b");
}
