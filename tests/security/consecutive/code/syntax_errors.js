// Fails to compile, after which the second source must compile by itself.
// first: threw
// output: ["mine",1]
const left = "secret";
let let = 1;
// ---- second
let left = 1;
const process = () => ["mine", left];
