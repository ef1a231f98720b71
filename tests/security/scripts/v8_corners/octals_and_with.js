// Everything that strict mode forbids.
// expect: succeeded
// output: [8,1,"a"]
function process() {
  var a = 010, a = a;
  with ({ b: 1 }) var c = b;
  delete a;
  arguments[0] = "a";
  return [a, c, arguments[0]];
}
