// Returns more than its limit of output.
// first: output_too_large
// limits: output_bytes=1000
// output: [2,"xxx"]
// unseen: the check drops what the first returns
function process() { return "secret".repeat(1_000); }
// ---- second
const process = (data) => [data, "x".repeat(3)];
