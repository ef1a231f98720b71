// Threads, machine code, finalizers and other realms, under any name that is left.
// expect: succeeded
// output: []
function process() {
  const gone = /^(WebAssembly|SharedArrayBuffer|Atomics|WeakRef|FinalizationRegistry|ShadowRealm)$/;
  const seen = new Set();
  const found = [];
  const walk = (value) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) return;
    if (seen.has(value)) return;
    seen.add(value);
    for (const key of Reflect.ownKeys(value)) {
      const { value: inner, get, set } = Reflect.getOwnPropertyDescriptor(value, key);
      const tag = typeof inner === "object" && inner !== null && inner[Symbol.toStringTag];
      if (gone.test(String(key)) || (typeof inner === "function" && gone.test(inner.name))
        || (typeof tag === "string" && gone.test(tag))) found.push(String(key));
      [inner, get, set].forEach(walk);
    }
    walk(Reflect.getPrototypeOf(value));
  };
  walk(globalThis);
  return found;
}
