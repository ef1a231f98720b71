// A comparator that empties the array that is being sorted.
// expect: succeeded
// output: 100
function process() {
  const array = Array.from({ length: 100 }, (_, n) => 100 - n);
  array.sort((a, b) => { array.length = 0; return a - b; });
  return array.length;
}
