// The top level rejects where nobody listens.
// expect: succeeded
// output: "still here"
Promise.reject(new Error("unheard"));
const process = async () => "still here";
