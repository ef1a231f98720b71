// Replaces the constructors of the global object by ones that hand out secrets.
// output: [[1,2],"a",2,true,"1970-01-01T00:00:00.000Z"]
// cell: either
function process() {
  for (const name of ["Array", "Map", "Set", "Date", "Object", "String", "Promise", "RegExp"]) {
    globalThis[name] = function () { return { left: "secret" }; };
  }
  globalThis.undefinedName = "left";
  return 1;
}
// ---- second
function process() {
  return [
    Array.from(new Set([1, 2, 2])), String("a"), new Map([[1, 2]]).get(1), RegExp("a").test("a"),
    new Date(0),
  ];
}
