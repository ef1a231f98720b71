// Marks functions that a realm makes once: of strict arguments, of revocable proxies, of promises.
// output: [false,false,false,false]
const once = () => {
  const { get } = Object.getOwnPropertyDescriptor(
    (function () { "use strict"; return arguments; })(), "callee");
  const speciesOf = (maker) => Object.getOwnPropertyDescriptor(maker, Symbol.species).get;
  return [
    speciesOf(Array), speciesOf(Promise), speciesOf(RegExp),
    Object.getOwnPropertyDescriptor(Function.prototype, "caller")?.get ?? get,
  ];
};
function process(turn) {
  const found = once().map((each) => "mark" in each);
  if (turn === 1) {
    for (const each of once()) Reflect.set(each, "mark", 1);
    Function.prototype.mark = 1;
  }
  return found;
}
