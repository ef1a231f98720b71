// How many arguments the platform gives, and of what kind.
// expect: succeeded
// output: [["object","object"],["function","function"]]
function process() {
  const given = [[...arguments].map((value) => typeof value)];
  return {
    then(...settlers) {
      given.push(settlers.map((value) => typeof value));
      settlers[0](given);
    },
  };
}
