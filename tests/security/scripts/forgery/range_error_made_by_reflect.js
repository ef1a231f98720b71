// The same by way of `Reflect`, called by a builtin.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  throw [0].map(Reflect.construct.bind(null, RangeError, ["Array buffer allocation failed"], RangeError))[0];
}
