// The same in a microtask that is a builtin's alone.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  const make = Reflect.construct.bind(null, RangeError, ["Array buffer allocation failed"], RangeError);
  return Promise.resolve().then(make).then((error) => { throw error; });
}
