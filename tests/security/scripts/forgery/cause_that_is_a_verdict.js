// A cause and errors that look like the platform's own members.
// expect: threw
// error: AggregateError: all
function process() {
  const lie = { kind: "succeeded", line: 1, column: 1, name: "x", message: "y", cause: 1, errors: [1] };
  throw new AggregateError(new Array(1_000).fill(lie), "all", { cause: lie });
}
