// An array that shrinks while it is written.
// expect: succeeded
// output: ["gone",null,null]
function process() {
  const array = [{ toJSON() { array.length = 0; return "gone"; } }, 1, 2];
  return array;
}
