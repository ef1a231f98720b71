// Stops generators in the middle and changes the prototypes of their functions, in one source.
// output: [1,1,false,"[object Generator]"]
function* numbers() { yield 1; yield 2; yield 3; }
async function* slow() { yield 1; yield 2; }
globalThis.running ??= [numbers(), slow()];
async function process() {
  const seen = [
    running[0].next().value, (await running[1].next()).value, "left" in numbers.prototype,
    String(numbers()),
  ];
  numbers.prototype.left = 1;
  return seen;
}
