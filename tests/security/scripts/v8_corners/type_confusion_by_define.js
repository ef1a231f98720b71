// Changes an array's elements while compiled code runs over them.
// expect: succeeded
// output: [0.5,"object"]
function process() {
  const array = [0.5, 1.5, 2.5];
  const read = (source, index) => source[index];
  for (let i = 0; i < 200_000; i++) read(array, i % 3);
  array[1] = { a: 1 };
  Object.defineProperty(array, 2, { get: () => array });
  return [read(array, 0), typeof read(array, 1)];
}
