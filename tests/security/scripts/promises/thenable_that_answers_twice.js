// Only the first answer counts.
// expect: succeeded
// output: "first"
function process() {
  return {
    then(resolve, reject) {
      resolve("first");
      reject(new Error("second"));
      resolve("third");
      throw new Error("fourth");
    },
  };
}
