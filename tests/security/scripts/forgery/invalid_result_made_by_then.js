// The same with an error of which no function of the user's was part.
// expect: threw
// error: TypeError: any words
async function process() {
  const make = Reflect.construct.bind(null, TypeError, ["any words"], TypeError);
  const error = await Promise.resolve().then(make);
  return { toJSON() { throw error; } };
}
