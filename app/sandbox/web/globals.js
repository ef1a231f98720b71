// Define names that other JavaScript hosts have, each when a script first uses it.
//
// Isolates do not contain the libraries behind them (`vendor`): the cell copies their source
// through the shared memory in pieces and allows V8 to compile strings meanwhile. If it cannot,
// the libraries are functions in the harness from the start (`h.bundles`).
((h) => {
  const { apply, bind, defineProperty, getOwnPropertyDescriptor, fromCharCode } = h;
  const { head, bytes, notify, imul } = h;
  const PIECE = bytes.length;
  const ALLOW = 1, FORBID = 2, FIRST = 3; // requests to the cell
  const { LENGTH, REQUEST, OFFSET } = h.slots;
  const BUNDLES = ["url", "encoding", "core", "digest"];

  const request = (what, at) => {
    head[REQUEST] = what;
    head[OFFSET] = at;
    notify();
    head[REQUEST] = 0;
    return head[LENGTH];
  };

  // The list has all its elements from the start, so that no setter of user code runs.
  const textOf = (index) => {
    const list = h.parse(`[0${h.repeat(",0", PIECE - 1)}]`);
    let text = "";
    for (let at = 0; ;) {
      const count = request(FIRST + index, at);
      at += count;
      for (let i = 0; i < count; i++) list[i] = bytes[i];
      if (count < PIECE) {
        for (let i = 0; i < count; i++) text += fromCharCode(list[i]);
        return text;
      }
      text += apply(fromCharCode, undefined, list);
    }
  };

  // A stack with fewer free frames than this overflows here, before anything is allowed.
  const FRAMES = 50;
  const forbid = (depth) => (depth === 0 ? request(FORBID, 0) : forbid(depth - 1));

  // Only V8's compiler runs while strings may be compiled.
  const compile = (text) => {
    forbid(FRAMES);
    request(ALLOW, 0);
    try {
      return h.evaluate(text);
    } finally {
      request(FORBID, 0);
    }
  };

  const SHARED = "__core-js_shared__";
  const loaded = { __proto__: null };
  let loading = false; // a library that looks for native versions finds nothing
  const load = (name) => {
    if (loaded[name] !== undefined) return loaded[name];
    let index = 0;
    while (BUNDLES[index] !== name) index++;
    const make = h.bundles === null ? compile(textOf(index)) : h.bundles[name];
    // core-js shares its state with other copies of itself under this name.
    const shares = getOwnPropertyDescriptor(globalThis, SHARED) !== undefined;
    loading = true;
    try {
      return (loaded[name] = make());
    } finally {
      loading = false;
      if (!shares) h.deleteProperty(globalThis, SHARED);
    }
  };

  // ---- crypto and performance

  const domException = (message, name) => new (load("core").DOMException)(message, name);
  const typedName = h.uncurry(
    getOwnPropertyDescriptor(h.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get);
  const viewLength = h.uncurry(
    getOwnPropertyDescriptor(h.getPrototypeOf(Uint8Array.prototype), "byteLength").get);
  const viewBuffer = h.uncurry(
    getOwnPropertyDescriptor(h.getPrototypeOf(Uint8Array.prototype), "buffer").get);
  const viewOffset = h.uncurry(
    getOwnPropertyDescriptor(h.getPrototypeOf(Uint8Array.prototype), "byteOffset").get);
  const dataViewPart = (name) =>
    h.uncurry(getOwnPropertyDescriptor(DataView.prototype, name).get);
  const dataBuffer = dataViewPart("buffer");
  const dataOffset = dataViewPart("byteOffset");
  const dataLength = dataViewPart("byteLength");
  const bufferLength = h.uncurry(getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get);
  const { isView } = ArrayBuffer;
  const Bytes = Uint8Array;
  const INTEGERS = {
    __proto__: null,
    Int8Array: 1, Uint8Array: 1, Uint8ClampedArray: 1, Int16Array: 1, Uint16Array: 1,
    Int32Array: 1, Uint32Array: 1, BigInt64Array: 1, BigUint64Array: 1,
  };
  const MAX_RANDOM = 65536;
  const HEX = "0123456789abcdef";

  const fill = (view) => {
    const all = new Bytes(viewBuffer(view), viewOffset(view), viewLength(view));
    const length = viewLength(view);
    for (let i = 0; i < length; i += 4) {
      const draw = h.draw();
      for (let j = 0; j < 4 && i + j < length; j++) all[i + j] = draw >>> (8 * j);
    }
  };

  const uuid = () => {
    let text = "";
    for (let i = 0; i < 4; i++) {
      const draw = h.draw();
      for (let j = 0; j < 8; j++) {
        const at = i * 8 + j;
        if (at === 8 || at === 12 || at === 16 || at === 20) text += "-";
        let digit = (draw >>> (4 * j)) & 15;
        if (at === 12) digit = 4;
        if (at === 16) digit = (digit & 3) | 8;
        text += HEX[digit];
      }
    }
    return text;
  };

  // Copies the current bytes of a BufferSource.
  const copyOf = (source) => {
    if (isView(source)) {
      const typed = typedName(source) !== undefined;
      const buffer = typed ? viewBuffer(source) : dataBuffer(source);
      const offset = typed ? viewOffset(source) : dataOffset(source);
      const length = typed ? viewLength(source) : dataLength(source);
      return h.construct(Bytes, [h.slice(buffer, offset, offset + length)]);
    }
    bufferLength(source); // throws if it is none
    return h.construct(Bytes, [h.slice(source, 0, bufferLength(source))]);
  };

  const digest = async (algorithm, data) => {
    const name = typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm;
    const hash = load("digest").default[h.toUpperCase(`${name}`)];
    if (hash === undefined) {
      throw domException(`no digest ${name}; SHA-1, -256, -384 and -512 are`, "NotSupportedError");
    }
    let copy;
    try {
      copy = copyOf(data);
    } catch {
      throw new h.TypeError("digest: the data is no ArrayBuffer and no view of one");
    }
    return viewBuffer(hash(copy));
  };

  const makeCrypto = () => {
    let made = false;
    class SubtleCrypto {
      #own = true;
      constructor() { if (made) throw new h.TypeError("Illegal constructor"); }
      async digest(algorithm, data) {
        void this.#own;
        return digest(algorithm, data);
      }
    }
    class Crypto {
      #subtle = new SubtleCrypto();
      constructor() { if (made) throw new h.TypeError("Illegal constructor"); }
      get subtle() { return this.#subtle; }
      getRandomValues(array) {
        void this.#subtle;
        const name = h.isObject(array) && isView(array) ? typedName(array) : undefined;
        if (name === undefined || INTEGERS[name] === undefined) {
          throw domException("getRandomValues: no typed array of integers", "TypeMismatchError");
        }
        if (viewLength(array) > MAX_RANDOM) {
          throw domException(`more than ${MAX_RANDOM} bytes of random values`, "QuotaExceededError");
        }
        fill(array);
        return array;
      }
      randomUUID() {
        void this.#subtle;
        return uuid();
      }
    }
    const crypto = new Crypto();
    made = true;
    return finishClasses({ crypto, Crypto, SubtleCrypto });
  };

  // Bound functions show as native code, as V8's own functions do.
  const makeCore = () => {
    const { DOMException, ...functions } = load("core");
    const made = { __proto__: null, DOMException };
    const names = h.ownKeys(functions);
    for (let i = 0; i < names.length; i++) {
      made[names[i]] = bind(functions[names[i]], undefined);
      defineProperty(made[names[i]], "name", { __proto__: null, value: names[i] });
    }
    return made;
  };

  // A bundler renames a class if two have the same name.
  const named = (exports, ...names) => {
    for (let i = 0; i < names.length; i++) {
      defineProperty(exports[names[i]], "name", { __proto__: null, value: names[i] });
    }
    return exports;
  };

  const makePerformance = () => {
    let made = false;
    class Performance {
      #own = true;
      constructor() { if (made) throw new h.TypeError("Illegal constructor"); }
      now() { return this.#own && h.elapsed(); }
      get timeOrigin() { return this.#own && h.startMs(); }
      toJSON() { return { timeOrigin: this.timeOrigin }; }
    }
    const performance = new Performance();
    made = true;
    return finishClasses({ performance, Performance });
  };

  // As WebIDL requires: members are enumerable, and objects carry the name of their class.
  const finishClasses = (made) => {
    const names = h.ownKeys(made);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (typeof made[name] !== "function") continue;
      const { prototype } = made[name];
      const keys = h.ownKeys(prototype);
      for (let j = 0; j < keys.length; j++) {
        if (keys[j] === "constructor") continue;
        defineProperty(prototype, keys[j], { __proto__: null, enumerable: true });
      }
      defineProperty(prototype, Symbol.toStringTag, {
        __proto__: null, value: name, writable: false, enumerable: false, configurable: true,
      });
    }
    return made;
  };

  // ---- the names and their makers

  const own = { __proto__: null };
  const makers = {
    __proto__: null,
    url: () => named(load("url"), "URL", "URLSearchParams"),
    encoding: () => named(load("encoding"), "TextEncoder", "TextDecoder"),
    core: () => (own.core ??= makeCore()),
    crypto: () => (own.crypto ??= makeCrypto()),
    performance: () => (own.performance ??= makePerformance()),
  };
  // Functions and objects are enumerable, classes are not (WebIDL 3.7.3).
  const NAMES = {
    __proto__: null,
    URL: "url", URLSearchParams: "url", TextEncoder: "encoding", TextDecoder: "encoding",
    DOMException: "core", structuredClone: "core", atob: "core", btoa: "core",
    crypto: "crypto", Crypto: "crypto", SubtleCrypto: "crypto",
    performance: "performance", Performance: "performance",
  };
  const isClass = (name) => name[0] >= "A" && name[0] <= "Z";

  const define = (name, value) => defineProperty(globalThis, name, {
    __proto__: null, value, writable: true, enumerable: !isClass(name), configurable: true,
  });

  const install = (name) => {
    const get = bind(() => {
      if (loading) return undefined;
      const made = makers[NAMES[name]]();
      const there = getOwnPropertyDescriptor(globalThis, name);
      if (there !== undefined && there.get === get) define(name, made[name]);
      return made[name];
    }, undefined);
    const set = bind((value) => { define(name, value); }, undefined);
    for (const [accessor, kind] of [[get, "get"], [set, "set"]]) {
      defineProperty(accessor, "name", { __proto__: null, value: `${kind} ${name}` });
    }
    defineProperty(globalThis, name, {
      __proto__: null, get, set, enumerable: !isClass(name), configurable: true,
    });
  };
  for (const name of h.ownKeys(NAMES)) install(name);
})
