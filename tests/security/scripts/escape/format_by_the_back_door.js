// A formatter's own function, by every way to it.
// expect: succeeded
// output: ["11/14/2023","11/14/2023","11/14/2023",true]
function process() {
  const format = new Intl.DateTimeFormat("en-US");
  const { get } = Reflect.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, "format");
  return [
    get.call(format)(), Reflect.apply(get, format, [])(undefined),
    Reflect.apply(format.format, null, []), format.format === format.format,
  ];
}
