// A BigInt far down, where it is named.
// expect: invalid_result
// says: result.a[1].b
function process() {
  return { a: [0, { b: 1n }] };
}
