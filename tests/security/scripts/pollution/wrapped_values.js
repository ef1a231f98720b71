// Objects around texts and numbers, with conversions of their own: the language asks these.
// expect: succeeded
// output: [42,"asked"]
function process() {
  const number = new Number(1);
  number.valueOf = () => 42;
  const text = new String("x");
  text.toString = () => "asked";
  return [number, text];
}
