// An object around a BigInt.
// expect: invalid_result
// says: BigInt
function process() {
  return [Object(1n)];
}
