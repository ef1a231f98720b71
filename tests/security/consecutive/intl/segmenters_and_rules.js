// Leaves segmenters, plural rules and collators half used, and changes their iterators.
// output: [["a","b"],"one","two","a and b"]
function process() {
  const iterator = new Intl.Segmenter().segment("abc")[Symbol.iterator]();
  iterator.next();
  globalThis.iterator = iterator;
  Object.getPrototypeOf(iterator).next = () => ({ done: true });
  Intl.PluralRules.prototype.select = () => "left";
  Intl.ListFormat.prototype.format = () => "left";
  return 1;
}
// ---- second
function process() {
  return [
    Array.from(new Intl.Segmenter().segment("ab"), ({ segment }) => segment),
    new Intl.PluralRules("en").select(1), new Intl.PluralRules("en", { type: "ordinal" }).select(2),
    new Intl.ListFormat("en").format(["a", "b"]),
  ];
}
