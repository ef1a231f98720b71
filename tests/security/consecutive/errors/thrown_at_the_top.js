// Throws at its top level what carries a place and a claim of failed memory.
// first: threw
// second: threw
const error = new RangeError("Array buffer allocation failed");
error.stack;
throw error;
// ---- second
throw { message: "mine" };
