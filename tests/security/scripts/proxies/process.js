// `process` is a proxy, which sees nothing but its call.
// expect: succeeded
// output: ["apply"]
const traps = [];
const process = new Proxy(function () {}, new Proxy({}, {
  get(_, trap) {
    return (...args) => {
      traps.push(trap);
      return trap === "apply" ? traps : Reflect[trap](...args);
    };
  },
}));
