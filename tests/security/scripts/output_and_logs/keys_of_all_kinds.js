// Keys that are empty, numbers, halves of characters, or quotes.
// expect: succeeded
// output: {"1":1,"":2,"\"":3,"\u0000":4,"\ud800":5,"__proto__":6}
function process() {
  return { "": 2, '"': 3, "\0": 4, "\ud800": 5, 1: 1, ["__proto__"]: 6 };
}
