// What stands between V8's bare globals and the user's script, inside the isolate.
//
// The script's value is one function that only the cell holds: it takes an operation's
// number and, as its `this`, what the operation is about. It answers with a string or a number of its own making; user code never chooses
// the type. All that it needs is captured here, before user code runs. After that it may
// not touch what user code can replace: no methods by name on strings or arrays, no
// iteration, no spread, no assignment to a new index, no object that inherits.
(() => {
  "use strict";

  const FILE = "process.js";
  const MAX_NAME = 256; // UTF-16 units of an error's name, its message, its stack
  const MAX_TEXT = 16 * 1024;

  // ---- captured intrinsics

  const { apply, construct, ownKeys } = Reflect;
  const { defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { parse, stringify } = JSON;
  const { freeze } = Object;
  const { isArray } = Array;
  const { call } = Function.prototype;
  const uncurry = (method) => call.bind(method);
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const slice = uncurry(String.prototype.slice);
  const startsWith = uncurry(String.prototype.startsWith);
  const errorToString = uncurry(Error.prototype.toString);
  const objectToString = uncurry(Object.prototype.toString);
  const matches = uncurry(RegExp.prototype.exec);
  const mapGet = uncurry(WeakMap.prototype.get);
  const mapSet = uncurry(WeakMap.prototype.set);
  const { isError } = Error;
  const toText = String;
  const RangeErrorPrototype = RangeError.prototype;
  const TypeErrorPrototype = TypeError.prototype;
  const identifier = /^[A-Za-z_$][\w$]*$/;

  const isObject = (value) =>
    (typeof value === "object" && value !== null) || typeof value === "function";

  // ---- the script's world

  // Threads, finalization order and machine code are beyond what a run can reproduce.
  const GONE = [
    "WebAssembly", "SharedArrayBuffer", "Atomics", "WeakRef", "FinalizationRegistry", "ShadowRealm",
  ];
  for (const name of GONE) deleteProperty(globalThis, name);

  const lock = (object, name, value) =>
    defineProperty(object, name, {
      __proto__: null, value, writable: false, enumerable: false, configurable: false,
    });
  const replace = (object, name, value) =>
    defineProperty(object, name, {
      __proto__: null, value, writable: true, enumerable: false, configurable: true,
    });

  // Where each error was made, in user code: position of its first user frame.
  const positions = new WeakMap();

  // V8's own frames answer these and throw at anything else, so that user code, which can
  // read and call the function below, can neither forge a frame nor have its code run here.
  replace(Error, "prepareStackTrace", (_, frames) => getPrototypeOf(frames[0]));
  const CallSite = new Error().stack;
  const fileOf = uncurry(CallSite.getScriptNameOrSourceURL);
  const lineOf = uncurry(CallSite.getLineNumber);
  const columnOf = uncurry(CallSite.getColumnNumber);
  const frameToString = uncurry(CallSite.toString);

  // V8 calls this when a stack is first read. Only the user's frames are anyone's business.
  const prepareStackTrace = (error, frames) => {
    let stack;
    try {
      stack = errorToString(error);
    } catch {
      stack = "Error";
    }
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i];
      if (fileOf(frame) !== FILE) continue;
      if (mapGet(positions, error) === undefined) {
        mapSet(positions, error, { __proto__: null, line: lineOf(frame), column: columnOf(frame) });
      }
      stack += `\n    at ${frameToString(frame)}`;
    }
    return stack;
  };
  lock(Error, "prepareStackTrace", prepareStackTrace);
  lock(Error, "stackTraceLimit", 10);

  // `Date` and `Temporal.Now` see one moment, the acceptance of the execution.
  let now = 0;

  const freezeClock = () => {
    const RealDate = Date;
    const dateToString = uncurry(RealDate.prototype.toString);
    const FrozenDate = new Proxy(RealDate, {
      __proto__: null,
      apply: () => dateToString(new RealDate(now)),
      construct: (target, args, newTarget) =>
        construct(target, args.length === 0 ? [now] : args, newTarget),
    });
    replace(RealDate, "now", { now: () => now }.now);
    replace(RealDate.prototype, "constructor", FrozenDate);
    replace(globalThis, "Date", FrozenDate);

    const { fromEpochMilliseconds } = Temporal.Instant;
    const toZoned = uncurry(Temporal.Instant.prototype.toZonedDateTimeISO);
    const { toPlainDate, toPlainTime, toPlainDateTime } = Temporal.ZonedDateTime.prototype;
    const zoned = (zone) =>
      toZoned(fromEpochMilliseconds(now), zone === undefined ? "UTC" : zone);
    const clock = {
      instant: () => fromEpochMilliseconds(now),
      timeZoneId: () => "UTC",
      zonedDateTimeISO: (zone) => zoned(zone),
      plainDateISO: (zone) => apply(toPlainDate, zoned(zone), []),
      plainTimeISO: (zone) => apply(toPlainTime, zoned(zone), []),
      plainDateTimeISO: (zone) => apply(toPlainDateTime, zoned(zone), []),
    };
    for (const name of ownKeys(clock)) replace(Temporal.Now, name, clock[name]);

    // A formatter without a date takes the present.
    const { prototype } = Intl.DateTimeFormat;
    const formatOf = uncurry(getOwnPropertyDescriptor(prototype, "format").get);
    const toParts = uncurry(prototype.formatToParts);
    const orNow = (date) => (date === undefined ? now : date);
    defineProperty(prototype, "format", {
      __proto__: null,
      get() {
        const format = formatOf(this);
        return (date) => format(orNow(date));
      },
      enumerable: false,
      configurable: true,
    });
    const { formatToParts } = { formatToParts(date) { return toParts(this, orNow(date)); } };
    replace(prototype, "formatToParts", formatToParts);
  };

  // `Math.random`: xoshiro128**, its state drawn from the seed by splitmix32; 53 bits a draw.
  const { imul, floor } = Math;
  let a, b, c, d;

  const seedRandom = (seed) => {
    const high = floor(seed / 2 ** 32);
    let state = (seed ^ imul(high, 0x9e3779b1)) | 0;
    const splitmix = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    a = splitmix();
    b = splitmix() ^ high;
    c = splitmix() ^ (seed | 0);
    d = splitmix() | 1; // never the all-zero state
    for (let i = 0; i < 16; i++) draw();
  };

  const draw = () => {
    const product = imul(b, 5);
    const result = imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };

  const random = () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53;

  freezeClock();
  replace(Math, "random", { random: () => random() }.random);

  // ---- console

  // A line goes into memory that the cell reads while JavaScript stands still in `ring`,
  // so that it is out before anything else can happen to the run.
  const LEVELS = ["log", "info", "warn", "error", "debug"];
  const ALIASES = { __proto__: null, dir: 0, dirxml: 0, table: 0, trace: 4 };
  const LEVEL = 0, LENGTH = 1, DROPPED = 2, CLOSED = 3, HEAD = 4;
  const LINE_UNITS = 16 * 1024; // what is longer is clipped
  let ring, head, units;

  const openConsole = (bell) => {
    const memory = new ArrayBuffer(HEAD * 4 + LINE_UNITS * 2);
    ring = bell;
    head = new Uint32Array(memory, 0, HEAD);
    units = new Uint16Array(memory, HEAD * 4);
    const write = (level, args) => {
      if (head[CLOSED] !== 0) {
        head[DROPPED]++;
        return;
      }
      let text = "";
      for (let i = 0; i < args.length; i++) text += (i === 0 ? "" : " ") + show(args[i]);
      const length = text.length < LINE_UNITS ? text.length : LINE_UNITS;
      for (let i = 0; i < length; i++) units[i] = charCodeAt(text, i);
      head[LEVEL] = level;
      head[LENGTH] = text.length;
      apply(ring, undefined, []);
    };
    const printer = (name, level) => ({ [name](...args) { write(level, args); } })[name];
    const methods = {};
    for (const name of ownKeys(console)) {
      if (typeof name === "string") methods[name] = { [name]() {} }[name];
    }
    for (const name of ownKeys(ALIASES)) methods[name] = printer(name, ALIASES[name]);
    for (let level = 0; level < LEVELS.length; level++) {
      methods[LEVELS[level]] = printer(LEVELS[level], level);
    }
    replace(globalThis, "console", freeze(methods));
    return memory;
  };

  const show = (value) => {
    try {
      if (typeof value === "string") return value;
      if (typeof value === "bigint") return `${value}n`;
      if (typeof value === "function") return `[Function: ${readText(value, "name", MAX_NAME)}]`;
      if (!isObject(value)) return toText(value);
      if (isError(value)) {
        const stack = readText(value, "stack", MAX_TEXT);
        return stack === undefined ? errorToString(value) : stack;
      }
      const json = stringify(value);
      return json === undefined ? objectToString(value) : json;
    } catch {
      return fallback(value);
    }
  };

  const fallback = (value) => {
    try {
      return objectToString(value);
    } catch {
      return "[object]";
    }
  };

  // ---- what was thrown

  const clip = (text, length) => (text.length > length ? slice(text, 0, length) : text);

  // A thrown object can be a proxy, or have getters that throw or lie about their type.
  const readText = (object, name, length) => {
    try {
      const value = object[name];
      return typeof value === "string" ? clip(value, length) : undefined;
    } catch {
      return undefined;
    }
  };

  const describe = (thrown) => {
    if (!isObject(thrown)) {
      const name = thrown === null ? "null" : typeof thrown;
      const message = clip(toText(thrown), MAX_TEXT);
      return { __proto__: null, name, message, stack: "", line: null, column: null };
    }
    const stack = readText(thrown, "stack", MAX_TEXT);
    const name = readText(thrown, "name", MAX_NAME);
    const message = readText(thrown, "message", MAX_TEXT);
    const position = mapGet(positions, thrown);
    const plain = name === undefined && message === undefined;
    return {
      __proto__: null,
      name: name === undefined ? (plain ? typeof thrown : "Error") : name,
      message: message === undefined ? (plain ? clip(show(thrown), MAX_TEXT) : "") : message,
      stack: stack === undefined ? "" : stack,
      line: position === undefined ? null : position.line,
      column: position === undefined ? null : position.column,
    };
  };

  const isNative = (thrown, prototype) => {
    try {
      return isError(thrown) && getPrototypeOf(thrown) === prototype;
    } catch {
      return false;
    }
  };

  // ---- one run

  const PENDING = 0, FAILED = 1, DONE = 2;
  let phase = PENDING;
  let input, output, failure;

  const fail = (kind, details) => {
    details.kind = kind;
    failure = stringify(details);
    phase = FAILED;
  };

  const threw = (thrown) => {
    const error = describe(thrown);
    const allocation = isNative(thrown, RangeErrorPrototype)
      && (error.message === "Array buffer allocation failed"
        || startsWith(error.message, "could not allocate memory"));
    fail("threw", { __proto__: null, error, allocation });
  };

  const read = (text) => {
    try {
      input = parse(text);
      return 0;
    } catch (error) {
      fail("invalid_input", { __proto__: null, message: describe(error).message });
      return -1;
    }
  };

  const run = (process) => {
    const data = input;
    input = undefined;
    let result, waits;
    try {
      result = apply(process, undefined, [data]);
      waits = isObject(result) && typeof result.then === "function";
    } catch (thrown) {
      threw(thrown);
      return;
    }
    if (waits) settle(result);
    else finish(result);
  };

  // `await` needs nothing that user code can replace, other than what it asks a thenable.
  const settle = async (promise) => {
    let result;
    try {
      result = await promise;
    } catch (thrown) {
      threw(thrown);
      return;
    }
    finish(result);
  };

  const finish = (result) => {
    try {
      output = stringify(result);
    } catch (thrown) {
      unwritable(result, thrown);
      return;
    }
    if (output === undefined) invalid(`process returned ${nameOf(result)}, which has no JSON`);
    else phase = DONE;
  };

  const nameOf = (result) => {
    if (typeof result === "symbol" || typeof result === "function") return `a ${typeof result}`;
    return result === undefined ? "undefined" : "an object whose toJSON returns nothing";
  };

  const invalid = (message) => fail("invalid_result", { __proto__: null, message: clip(message, MAX_TEXT) });

  // An error with a user frame comes from a getter, a proxy or a toJSON: user code threw.
  const unwritable = (result, thrown) => {
    const { line, message } = describe(thrown);
    const range = isNative(thrown, RangeErrorPrototype);
    if (line !== null || !(range || isNative(thrown, TypeErrorPrototype))) threw(thrown);
    else if (range && message === "Invalid string length") fail("output_too_large", { __proto__: null });
    else if (range) invalid(`the result is nested too deeply for JSON.stringify: ${message}`);
    else {
      const path = findBigInt(result);
      invalid(path === undefined ? message : `a BigInt has no JSON: ${path}`);
    }
  };

  // JSON.stringify once more, as it visits every value in its own order.
  const findBigInt = (result) => {
    let trail = null;
    let found;
    try {
      stringify(result, function (key, value) {
        while (trail !== null && trail.value !== this) trail = trail.up;
        if (typeof value === "bigint") {
          found = trail === null ? "result" : `${pathOf(trail)}${step(trail.value, key)}`;
          throw found;
        }
        if (isObject(value)) trail = { __proto__: null, value, key, up: trail };
        return value;
      });
    } catch {
      // Only `found` counts: a cycle or a user's toJSON may end the walk early.
    }
    return found === undefined ? undefined : clip(found, MAX_TEXT);
  };

  const pathOf = (trail) =>
    trail.up === null ? "result" : `${pathOf(trail.up)}${step(trail.up.value, trail.key)}`;

  const step = (holder, key) => {
    if (isArray(holder)) return `[${key}]`;
    return matches(identifier, key) === null ? `[${stringify(key)}]` : `.${key}`;
  };

  // ---- operations, numbered as in cell.py

  return function (operation) {
    switch (operation) {
      case 0: // the cell's bell, a function; the console's memory
        return openConsole(this);
      case 1: { // the job, as JSON: the script's world
        const job = parse(this);
        now = job.clock_ms;
        seedRandom(job.seed);
        phase = PENDING;
        output = failure = undefined;
        return 0;
      }
      case 2: // the payload
        return read(this);
      case 3: // the user's `process`
        run(this);
        return 0;
      case 4: // microtasks are over: the length of the output, or -1
        if (phase === PENDING) fail("unsettled_promise", { __proto__: null });
        return phase === DONE ? output.length : -1;
      case 5: // the output
        return output;
      default: // the failure, as JSON
        return failure;
    }
  };
})()
//# sourceURL=harness.js
