// Every object is a thenable now, also those of the platform.
// expect: succeeded
// output: "taken"
function process() {
  Object.prototype.then = function (resolve) {
    delete Object.prototype.then;
    resolve("taken");
  };
  return { a: 1 };
}
