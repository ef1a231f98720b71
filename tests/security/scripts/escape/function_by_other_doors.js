// `Function` through Reflect, a subclass, a bound function and a proxy.
// expect: succeeded
// output: ["EvalError","EvalError","EvalError","EvalError"]
function process() {
  class Sub extends Function {}
  const ways = [
    () => Reflect.construct(Function, ["return 1"]),
    () => new Sub("return 1"),
    () => Function.bind(null, "return 1")(),
    () => new Proxy(Function, {})("return 1"),
  ];
  return ways.map((way) => { try { return typeof way(); } catch (error) { return error.name; } });
}
