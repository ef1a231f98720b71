// Moves the position of a global expression, in the same source.
// output: [0,true,[0,0]]
const everywhere = /a/g, sticky = /a/y;
const literal = () => /a/g;
function process() {
  const before = everywhere.lastIndex;
  const found = everywhere.test("aaaa");
  sticky.test("aa");
  const fresh = [literal().lastIndex, literal().lastIndex];
  literal().exec("aa");
  literal().lastIndex = 7;
  return [before, found, fresh];
}
