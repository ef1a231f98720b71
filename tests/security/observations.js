// Observes everything that another execution could have changed, by about a hundred names.
let seen = 0;
class Counter { static n = 0; }
const tag = (strings) => strings;
const early = [RegExp.$1, RegExp.lastMatch, RegExp.input, RegExp.leftContext].join("|");
const { ownKeys } = Reflect;
const describe = (value) => {
  if (typeof value === "function") {
    const under = value.prototype ? ownKeys(value.prototype).map(String) : [];
    return `${ownKeys(value).map(String)}|${under}|${Object.isExtensible(value)}`;
  }
  return `${ownKeys(value).map(String)}|${Object.isFrozen(value)}`;
};
const failing = (attempt) => {
  try { return String(attempt()); } catch (error) { return `${error}`; }
};

// Every property that can be reached from the global object, with its attributes, as one hash.
const walk = () => {
  const known = new Map(), lines = [];
  const visit = (value, path) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
      lines.push(`${path}=${typeof value}:${String(value)}`);
      return;
    }
    if (known.has(value)) return;
    known.set(value, path);
    lines.push(`${path}=${typeof value}${Object.isFrozen(value) ? "!" : ""}`);
    for (const key of ownKeys(value)) {
      const found = Reflect.getOwnPropertyDescriptor(value, key);
      const name = `${path}.${String(key)}`;
      lines.push(`${name} ${[found.writable, found.enumerable, found.configurable].map(Number)}`);
      if (path === "" && key === "process") continue;
      for (const part of ["value", "get", "set"]) if (part in found) visit(found[part], name);
    }
    visit(Reflect.getPrototypeOf(value), `${path}^`);
  };
  visit(globalThis, "");
  let hash = 0;
  for (const line of lines) {
    for (let i = 0; i < line.length; i++) hash = (Math.imul(hash, 31) + line.charCodeAt(i)) | 0;
  }
  return `${lines.length}:${hash}`;
};

function process(data) {
  // Tests put a change here.
  const out = { data, early, statics: [RegExp.$1, RegExp.lastMatch, RegExp.input].join("|") };
  out.timer = setTimeout(() => {}, 0);
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const value = globalThis[name];
    const isObject = (typeof value === "object" && value !== null) || typeof value === "function";
    out[`global ${name}`] = isObject ? describe(value) : String(value);
  }
  out.globals = ownKeys(globalThis).map(String).join();
  out.everything = walk();
  out.symbol = Symbol.for("left").description + Symbol.keyFor(Symbol.for("left"));
  const each = [{}, [], "x", 1, () => 1, Symbol.for("left"), /a/, 1n, new Map(), new Error("x")];
  out.polluted = each.map((value) => String(value.polluted)).join();
  out.seen = ++seen;
  out.counter = ++Counter.n;
  const template = tag`a${1}b`;
  out.template = String(template.polluted) + Object.isFrozen(template);
  out.stackLimit = Error.stackTraceLimit;
  out.stack = new Error("e").stack;
  out.random = [Math.random(), Math.random(), crypto.randomUUID()].join();
  out.clock = [Date.now(), new Date(), Temporal.Now.instant(), performance.now()].join();
  out.lists = [3, 1, 2].sort().join() + [1, 2].map((x) => x * 2) + [..."abc"] + [1].concat([2]);
  out.json = JSON.stringify({ a: [1, { b: 2 }] }) + JSON.parse('{"a":1}').a;
  out.intl = [
    (1234.5).toLocaleString(), new Intl.DateTimeFormat().format(), new Date(0).toLocaleString(),
    "a".localeCompare("B"), Intl.DateTimeFormat().resolvedOptions().timeZone,
  ].join();
  out.iteration = [...new Map([[1, 2]]).entries()].join() + Object.keys({ z: 1, y: 2, 10: 3 });
  out.patterns = ["abc".replace(/b/, "x"), "a,b".split(/,/), /(.)\1/.exec("xaab")?.index].join();
  out.toString = Function.prototype.toString.call(Array.prototype.push) + process.toString().slice(0, 9);
  out.web = [new URL("https://a.example/b?c").search, btoa("x"), new TextDecoder().encoding].join();
  out.weak = [typeof WeakRef, typeof SharedArrayBuffer, typeof Atomics, typeof WebAssembly].join();
  out.strings = failing(() => new Function("return 1")()) + failing(() => eval("1"));
  out.messages = failing(() => null.x) + failing(() => undefinedName) + failing(() => out());
  out.bytes = new Uint8Array(4096).reduce((sum, byte) => sum + byte, 0);
  let depth = 0;
  const down = () => { depth++; down(); };
  out.overflow = failing(down);
  out.deep = depth > 10_000;
  out.tasks = globalThis.tasks === undefined ? "none" : "left";
  console.log("observed", typeof left, data);
  return out;
}
