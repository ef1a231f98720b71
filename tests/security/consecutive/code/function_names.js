// Renames and marks the functions of the same source, and the text that shows their source.
// output: ["process","helper",0,"function helper() {}",null]
function helper() {}
const show = Function.prototype.toString;
function process() {
  const seen = [
    process.name, helper.name, helper.length, show.call(helper), helper.mark ?? null,
  ];
  Object.defineProperty(helper, "name", { value: "left" });
  Object.defineProperty(helper, "length", { value: 9 });
  helper.mark = "left";
  Function.prototype.toString = () => "left";
  return seen;
}
