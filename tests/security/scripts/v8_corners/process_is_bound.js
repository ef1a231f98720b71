// `process` is bound, to a native.
// expect: succeeded
// input: [3,1,2]
// output: 3
const process = Math.max.apply.bind(Math.max, null);
