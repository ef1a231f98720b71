// Most of an array is not there.
// expect: succeeded
// output: [4294967295,1]
function process() {
  const array = [];
  array[2 ** 32 - 2] = 1;
  return [array.length, Object.keys(array).length];
}
