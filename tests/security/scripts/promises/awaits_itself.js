// A promise that waits for the function that made it.
// expect: unsettled_promise
function process() {
  let self;
  const wait = async () => { await null; return await self; };
  self = wait();
  return self;
}
