// Leaves an error in the middle of an async stack.
// first: threw
// second: threw
// unseen: the error of one is not that of the other
async function secret_step() { await null; throw new TypeError("secret"); }
async function process() { await secret_step(); }
// ---- second
async function own_step() { await null; return null.member; }
async function process() { await own_step(); }
