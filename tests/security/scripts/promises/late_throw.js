// A rejection that nobody handles, beside a result.
// expect: succeeded
// output: 1
function process() {
  Promise.reject(new Error("unheard"));
  Promise.resolve().then(() => { throw new Error("unheard as well"); });
  return 1;
}
