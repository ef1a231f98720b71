// An array of 2**53 - 1 elements, more than any text can hold.
// expect: output_too_large
function process() {
  return new Proxy([], { get: (_, key) => (key === "length" ? 2 ** 53 - 1 : 0) });
}
