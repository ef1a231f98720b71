// Marks the getter and the setter of the `stack` of errors, which V8 makes for itself.
// output: [false,false,false,false]
const accessors = () => {
  const captured = {};
  Error.captureStackTrace(captured);
  return [captured, new Error("x")].flatMap((error) => {
    const { get, set } = Object.getOwnPropertyDescriptor(error, "stack");
    return [get, set];
  });
};
function process(turn) {
  const found = accessors().map((accessor) => Object.hasOwn(accessor, "mark"));
  if (turn === 1) {
    for (const accessor of accessors()) accessor.mark = 1;
    Object.getPrototypeOf(accessors()[2]).markOfFunctions = 1;
  }
  return found;
}
