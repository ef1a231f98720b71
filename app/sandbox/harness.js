// Prepare V8's globals for the user's script and run it, inside the isolate.
//
// This script runs once, in the snapshot from which isolates are made; without a snapshot, in each
// isolate. Its value is a function that each isolate calls before user code runs. That function
// returns a list that only the cell holds: a place for the cell's callback, the shared memory, and
// the function that the cell calls, with the list itself as arguments. `this` is the number of an
// operation, or the payload. The answer is a string or a number made here; user code never chooses
// its type. Functions in redundant parentheses are compiled eagerly, since they always run.
// Everything needed is captured before user code runs. After that, nothing that user code can
// replace may be used: no methods by name on strings or arrays, no iteration, no spread, no
// assignment to a new index, no object that inherits.
(() => {
  "use strict";

  const FILE = "process.js";
  const HARNESS = "harness.js";
  const MAX_NAME = 256; // UTF-16 units of an error's name, its message, its stack
  const MAX_TEXT = 16 * 1024;
  const MAX_NESTED = 12; // causes and errors of an AggregateError, all levels together
  const MAX_NESTED_MESSAGE = 1024;
  const MAX_NESTED_STACK = 2048;
  const SMALL = 16 * 1024; // UTF-16 units; a smaller input or output shares a call

  // ---- captured intrinsics

  const { Error } = globalThis; // V8's own; user code only gets a stand-in, see below
  const { apply, construct, ownKeys } = Reflect;
  const { defineProperty, deleteProperty, getOwnPropertyDescriptor } = Reflect;
  const { getPrototypeOf, setPrototypeOf } = Reflect;
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { call } = Function.prototype;
  const uncurry = (method) => call.bind(method);
  const bind = uncurry(Function.prototype.bind);
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const slice = uncurry(String.prototype.slice);
  const startsWith = uncurry(String.prototype.startsWith);
  const errorToString = uncurry(Error.prototype.toString);
  const objectToString = uncurry(Object.prototype.toString);
  const matches = uncurry(RegExp.prototype.exec);
  const mapGet = uncurry(WeakMap.prototype.get);
  const mapSet = uncurry(WeakMap.prototype.set);
  const mapDelete = uncurry(WeakMap.prototype.delete);
  let isError; // set in each isolate, as no snapshot contains it
  const toText = String;
  const PromisePrototype = Promise.prototype;
  const RangeErrorPrototype = RangeError.prototype;
  const TypeErrorPrototype = TypeError.prototype;
  const identifier = /^[A-Za-z_$][\w$]*$/;
  // V8's messages if it cannot allocate a buffer.
  const allocationMessage = /^(?:Array buffer allocation failed|ArrayBuffer\.[\w.]+: Out of memory)$/;

  const isObject = (value) =>
    (typeof value === "object" && value !== null) || typeof value === "function";

  // ---- memory shared with the cell: the script's world, and a console line

  const LINE_UNITS = 4 * 1024; // a longer line exceeds the limit of 4 KiB and is clipped
  const LEVEL = 0, LENGTH = 1, DROPPED = 2, CLOSED = 3, REQUEST = 4, OFFSET = 5, HEAD = 6;
  const CLOCK_MS = 0, SEED = 1, CONTEXT = 2, LINE = 3, ROWS_IN = 4, ROWS_OUT = 5, ROWS_FAILED = 6;
  const INPUT_BYTES = 7, WORLD = 8;
  const memory = new ArrayBuffer(HEAD * 4 + WORLD * 8 + LINE_UNITS * 2);
  const head = new Uint32Array(memory, 0, HEAD);
  const world = new Float64Array(memory, HEAD * 4, WORLD);
  const units = new Uint16Array(memory, HEAD * 4 + WORLD * 8);
  const bytes = new Uint8Array(memory, HEAD * 4 + WORLD * 8);
  const NOTIFY = 0;
  // The third is set below; the fourth is a buffer that the cell reads or fills.
  const parts = [null, memory, null, null];

  // ---- the script's world

  // The other files of the harness, by name.
  const { web } = globalThis;
  deleteProperty(globalThis, "web");

  // A run cannot reproduce threads, finalization order and machine code.
  const GONE = [
    "WebAssembly", "SharedArrayBuffer", "Atomics", "WeakRef", "FinalizationRegistry", "ShadowRealm",
  ];

  // Replaces a property's value, or its getter, and keeps its attributes.
  const replace = ((object, name, value, part = "value") => {
    const descriptor = getOwnPropertyDescriptor(object, name);
    descriptor[part] = value;
    defineProperty(object, name, descriptor);
  });

  // A stand-in for a native function has its name, length and properties, and shows as
  // `[native code]`, so scripts cannot tell the difference. A stand-in that needs no `this` is a
  // bound function, which V8 calls as fast as the function itself; otherwise it is a proxy.
  const imitate = ((native, standIn) => {
    const imitation = bind(standIn, undefined);
    for (const name of ownKeys(native)) {
      defineProperty(imitation, name, getOwnPropertyDescriptor(native, name));
    }
    return imitation;
  });
  const wrap = (native, standIn) =>
    new Proxy(native, { __proto__: null, apply: (_, self, args) => standIn(self, args) });
  const first = (args) => (args.length === 0 ? undefined : args[0]);

  // What V8 knew about each error when its stack was first read: the position of its first user
  // frame; whether a builtin that allocates a buffer made it; and whether JSON.stringify made it
  // while `finish` wrote the result. The last two are unknown if user code captured the stack.
  const origins = new WeakMap();
  let latest; // V8 reads the stack of what the top level throws, unless the script did
  const captured = new WeakMap();

  // User code gets a stand-in for V8's `Error`: V8 reads the frame limit from its own, and without
  // frames the origin of an error is unknown. The limit that a script sets decides how many frames
  // it sees; a limit above the default takes effect in `run`, and after the first stack is read.
  const LIMIT = 10, MAX_LIMIT = 200;
  const PublicError = bind(Error, undefined);
  const SUBCLASSES = [
    "AggregateError", "EvalError", "RangeError", "ReferenceError", "SuppressedError",
    "SyntaxError", "TypeError", "URIError",
  ];
  // Called again in each isolate, since V8 adds to both lists there.
  const publishError = (() => {
    for (const name of ownKeys(Error)) {
      defineProperty(PublicError, name, getOwnPropertyDescriptor(Error, name));
    }
    for (const name of SUBCLASSES) {
      const subclass = globalThis[name];
      if (subclass !== undefined && getPrototypeOf(subclass) === Error) {
        setPrototypeOf(subclass, PublicError);
      }
    }
  });
  publishError();
  replace(Error.prototype, "constructor", PublicError);
  replace(globalThis, "Error", PublicError);

  const chosenLimit = () => {
    const chosen = getOwnPropertyDescriptor(PublicError, "stackTraceLimit");
    return chosen !== undefined && typeof chosen.value === "number" ? chosen.value : LIMIT;
  };
  let limit = LIMIT;
  const followLimit = () => {
    const chosen = chosenLimit();
    const wanted = chosen > LIMIT ? (chosen < MAX_LIMIT ? chosen : MAX_LIMIT) : LIMIT;
    if (wanted !== limit) setLimit(wanted);
    return chosen;
  };
  const setLimit = (wanted) => {
    limit = wanted;
    defineProperty(Error, "stackTraceLimit", {
      __proto__: null, value: wanted, writable: false, enumerable: true, configurable: true,
    });
  };

  // V8's own default, which is missing while a snapshot is made.
  const bare = getOwnPropertyDescriptor(Error, "stackTraceLimit") === undefined;
  Error.stackTraceLimit = 10;

  // These methods throw for anything but V8's own frames. User code can read and call
  // `prepareStackTrace` below, but can neither forge a frame nor have its code called from there.
  Error.prepareStackTrace = (_, frames) => getPrototypeOf(frames[0]);
  const probe = new Error();
  const CallSite = probe.stack;
  deleteProperty(Error, "prepareStackTrace");
  if (bare) deleteProperty(Error, "stackTraceLimit");
  const formatStack = uncurry(getOwnPropertyDescriptor(probe, "stack").get);
  const fileOf = uncurry(CallSite.getScriptNameOrSourceURL);
  const functionOf = uncurry(CallSite.getFunctionName);
  const lineOf = uncurry(CallSite.getLineNumber);
  const columnOf = uncurry(CallSite.getColumnNumber);
  const isConstructor = uncurry(CallSite.isConstructor);
  const frameToString = uncurry(CallSite.toString);

  // Typed arrays also create their buffer with this constructor.
  const GROWING = {
    __proto__: null, resize: true, slice: true, transfer: true, transferToFixedLength: true,
  };
  const allocates = (frame) => {
    if (fileOf(frame) !== null) return false;
    const name = functionOf(frame);
    return isConstructor(frame) ? name === "ArrayBuffer" : GROWING[name] === true;
  };

  const hasAllocationMessage = (error) => {
    if (!isNative(error, RangeErrorPrototype)) return false;
    const message = getOwnPropertyDescriptor(error, "message");
    return message !== undefined && typeof message.value === "string"
      && matches(allocationMessage, message.value) !== null;
  };

  // "failed" if an allocation certainly failed, "claimed" if only the message says so: user code
  // can write it into an error that a buffer threw for another reason. The cell then asks V8
  // whether any allocation failed.
  const allocationOf = (error, frame) => {
    if (!allocates(frame) || !hasAllocationMessage(error)) return "";
    if (functionOf(frame) !== "resize") return "claimed";
    return mapGet(failedResizes, error) === true ? "failed" : "";
  };

  // V8 does not count failed calls of `resize`. A length that is no object runs no user code, so
  // the error is V8's own, and new.
  const failedResizes = new WeakMap();
  const { resize } = ArrayBuffer.prototype;
  replace(ArrayBuffer.prototype, "resize", wrap(resize, (self, args) => {
    try {
      return apply(resize, self, args);
    } catch (error) {
      if (!isObject(first(args)) && hasAllocationMessage(error)) mapSet(failedResizes, error, true);
      throw error;
    }
  }));

  // The only builtin that `finish` calls while it writes is JSON.stringify.
  const isWriting = (frame, caller) =>
    fileOf(frame) === null && fileOf(caller) === HARNESS && functionOf(caller) === "finish";

  // V8 calls this when a stack is first read. It shows only the user's frames.
  const prepareStackTrace = (error, frames) => {
    let stack;
    try {
      stack = errorToString(error);
    } catch {
      stack = "Error";
    }
    let place;
    const shown = followLimit();
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i];
      if (fileOf(frame) !== FILE) continue;
      if (place === undefined) place = frame;
      if (i < shown) stack += `\n    at ${frameToString(frame)}`;
    }
    // With frames, V8 itself called this function, not user code.
    if (frames.length > 0 && mapGet(origins, error) === undefined) {
      const chosen = mapGet(captured, error) !== undefined;
      latest = {
        __proto__: null,
        allocation: chosen ? "" : allocationOf(error, frames[0]),
        writing: !chosen && frames.length > 1 && isWriting(frames[0], frames[1]),
        line: place === undefined ? null : lineOf(place),
        column: place === undefined ? null : columnOf(place),
      };
      mapSet(origins, error, latest);
    }
    return stack;
  };
  const { captureStackTrace } = Error;
  function capture(object, upTo) {
    if (isObject(object)) {
      mapSet(captured, object, true);
      mapDelete(origins, object);
    }
    captureStackTrace(object, upTo === undefined ? capture : upTo);
  }
  const publicCapture = imitate(captureStackTrace, capture);
  replace(Error, "captureStackTrace", publicCapture);
  replace(PublicError, "captureStackTrace", publicCapture);
  // V8 calls only a plain function as its hook, and such a function shows its source as its text.
  // Libraries that set a hook of their own run without it.
  const functionToString = Function.prototype.toString;
  replace(Function.prototype, "toString", wrap(functionToString, (self) =>
    apply(functionToString, self === prepareStackTrace ? captureStackTrace : self, [])));

  // `Date` and `Temporal.Now` show the time at which the execution was accepted; only timers
  // advance it.
  let elapsed = 0;
  const now = () => world[CLOCK_MS] + elapsed;

  const freezeClock = (() => {
    const RealDate = Date;
    const dateToString = uncurry(RealDate.prototype.toString);
    function FrozenDate(value) {
      if (new.target === undefined) return dateToString(new RealDate(now()));
      const count = arguments.length;
      if (new.target !== FrozenDate) {
        return construct(RealDate, count === 0 ? [now()] : arguments, new.target);
      }
      if (count === 0) return new RealDate(now());
      return count === 1 ? new RealDate(value) : construct(RealDate, arguments);
    }
    FrozenDate.prototype = RealDate.prototype;
    replace(RealDate, "now", imitate(RealDate.now, now));
    const ImitatedDate = imitate(RealDate, FrozenDate);
    replace(RealDate.prototype, "constructor", ImitatedDate);
    replace(globalThis, "Date", ImitatedDate);

    // A formatter called without a date uses the current time.
    const { prototype } = Intl.DateTimeFormat;
    const orNow = (date) => (date === undefined ? now() : date);
    const getFormat = getOwnPropertyDescriptor(prototype, "format").get;
    const formats = new WeakMap(); // V8 makes one function per formatter
    const frozenFormat = (self) => {
      const format = apply(getFormat, self, []);
      let frozen = mapGet(formats, format);
      if (frozen === undefined) {
        frozen = wrap(format, (_, args) => format(orNow(first(args))));
        mapSet(formats, format, frozen);
      }
      return frozen;
    };
    replace(prototype, "format", wrap(getFormat, frozenFormat), "get");
    const toParts = prototype.formatToParts;
    const frozenToParts = (self, args) => apply(toParts, self, [orNow(first(args))]);
    replace(prototype, "formatToParts", wrap(toParts, frozenToParts));
  });

  // `Math.random`: xoshiro128**, its state drawn from the seed by splitmix32; 53 bits a draw.
  const { imul, floor } = Math;
  let a, b, c, d;

  const seedRandom = ((seed) => {
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
  });

  const draw = (() => {
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
  });

  const drawSeeded = () => {
    if (d === undefined) seedRandom(world[SEED]);
    return draw();
  };

  const random = () => {
    if (d === undefined) seedRandom(world[SEED]);
    return ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53;
  };

  freezeClock();
  replace(Math, "random", imitate(Math.random, random));

  // ---- console

  // A line is written to the shared memory, and the cell reads it in its callback, while
  // JavaScript waits: it is sent whatever happens to the run afterwards. Methods that are missing
  // here (profiles, time stamps) do nothing in V8 without a debugger.
  const LEVELS = {
    __proto__: null,
    log: 0, info: 1, warn: 2, error: 3, debug: 4, dirxml: 0, trace: 4,
  };

  const clip = (text, length) => (text.length > length ? slice(text, 0, length) : text);

  // A thrown object can be a proxy, or have getters that throw or return other types.
  const readText = (object, name, length) => {
    try {
      const value = object[name];
      return typeof value === "string" ? clip(value, length) : undefined;
    } catch {
      return undefined;
    }
  };

  const shown = web.console({
    __proto__: null, apply, charCodeAt, clip, defineProperty, errorToString, functionToString,
    getOwnPropertyDescriptor, getPrototypeOf, isObject, objectToString, readText, slice,
    startsWith, stringify, toText, uncurry, repeat: uncurry(String.prototype.repeat),
    isError: (value) => isError(value), elapsed: () => elapsed,
    lineUnits: LINE_UNITS, maxText: MAX_TEXT,
  });

  const openConsole = (() => {
    const write = (level, args) => {
      if (head[CLOSED] !== 0) {
        head[DROPPED]++;
        return;
      }
      const text = shown.format(args);
      const length = text.length < LINE_UNITS ? text.length : LINE_UNITS;
      for (let i = 0; i < length; i++) units[i] = charCodeAt(text, i);
      head[LEVEL] = level;
      head[LENGTH] = text.length;
      head[REQUEST] = 0; // a stack overflow may have left a request
      apply(parts[NOTIFY], undefined, []);
    };
    for (const name of ownKeys(LEVELS)) {
      const level = LEVELS[name];
      replace(console, name, imitate(console[name], (...args) => { write(level, args); }));
    }
    const methods = shown.methods((level, args) => { write(LEVELS[level], args); });
    methods.groupCollapsed = methods.group;
    for (const name of ownKeys(methods)) {
      const method = methods[name];
      replace(console, name, imitate(console[name], (...args) => { method(args); }));
    }
    replace(console, "context", imitate(console.context, () => {}));
  });
  openConsole();

  // ---- what was thrown

  // V8 formats the stack, and `prepareStackTrace` notes the origin, when the stack is first read.
  // Calling the getter works whatever user code did to the property.
  const originOf = (thrown) => {
    try {
      formatStack(thrown);
    } catch {
      // `errorToString` runs user code.
    }
    return mapGet(origins, thrown);
  };

  const portray = (thrown, maxMessage, maxStack) => {
    if (!isObject(thrown)) {
      const name = thrown === null ? "null" : typeof thrown;
      const message = clip(toText(thrown), maxMessage);
      return { __proto__: null, name, message, stack: "", line: null, column: null };
    }
    const origin = originOf(thrown);
    const stack = readText(thrown, "stack", maxStack);
    const name = readText(thrown, "name", MAX_NAME);
    const message = readText(thrown, "message", maxMessage);
    const plain = name === undefined && message === undefined;
    return {
      __proto__: null,
      name: name === undefined ? (plain ? typeof thrown : "Error") : name,
      message: message === undefined ? (plain ? clip(shown.show(thrown), maxMessage) : "") : message,
      stack: stack === undefined ? "" : stack,
      line: origin === undefined ? null : origin.line,
      column: origin === undefined ? null : origin.column,
    };
  };

  // Describes an error, its chain of causes, and the errors of an AggregateError. No error appears
  // twice on one path, and their total number is limited.
  const describe = (thrown) => {
    const budget = { __proto__: null, left: MAX_NESTED };
    const error = portray(thrown, MAX_TEXT, MAX_TEXT);
    addNested(error, { __proto__: null, value: thrown, up: null }, budget);
    return error;
  };

  const addNested = (error, trail, budget) => {
    const { value } = trail;
    const errors = newList();
    error.cause = isObject(value) ? nested(readValue(value, "cause"), trail, budget) : null;
    error.errors = errors;
    const aggregated = isError(value) ? readValue(value, "errors") : undefined;
    if (!isList(aggregated)) return;
    for (let i = 0; i < MAX_NESTED; i++) {
      const inner = nested(readValue(aggregated, i), trail, budget);
      if (inner !== null) append(errors, inner);
    }
  };

  const nested = (value, trail, budget) => {
    if (value === undefined || budget.left === 0) return null;
    for (let above = trail; above !== null; above = above.up) {
      if (above.value === value) return null;
    }
    budget.left--;
    const error = portray(value, MAX_NESTED_MESSAGE, MAX_NESTED_STACK);
    addNested(error, { __proto__: null, value, up: trail }, budget);
    return error;
  };

  const readValue = (object, key) => {
    try {
      return object[key];
    } catch {
      return undefined;
    }
  };

  const isList = (value) => {
    try {
      return isArray(value);
    } catch {
      return false; // a revoked proxy
    }
  };

  // A list that inherits nothing, so that JSON.stringify finds no `toJSON`.
  const newList = () => {
    const list = [];
    setPrototypeOf(list, null);
    return list;
  };

  const append = (list, value) =>
    defineProperty(list, list.length, {
      __proto__: null, value, writable: true, enumerable: true, configurable: true,
    });
  const isNative = (thrown, prototype) => {
    try {
      return isError(thrown) && getPrototypeOf(thrown) === prototype;
    } catch {
      return false;
    }
  };

  // ---- one run

  const PENDING = 0, FAILED = 1, DONE = 2;
  const AGAIN = -2;
  let phase = PENDING;
  let script, input, context, output, failure, returned;

  const fail = (kind, details) => {
    details.kind = kind;
    failure = stringify(details);
    phase = FAILED;
  };

  const threw = (thrown) => {
    const error = describe(thrown);
    const origin = originOf(thrown);
    const claims = isNative(thrown, RangeErrorPrototype)
      && matches(allocationMessage, error.message) !== null;
    const allocation = claims && origin !== undefined ? origin.allocation : "";
    fail("threw", { __proto__: null, error, allocation });
  };

  // Finds `process`, also if let, const or class declared it, which makes no property of the
  // global object. The lookup can run a getter.
  const find = (() => {
    if (phase === FAILED) return -1; // in a microtask of the top level
    try {
      script = typeof process === "undefined" ? undefined : process;
    } catch (thrown) {
      threw(thrown);
      return -1;
    }
    if (typeof script === "function") return 0;
    const code = script === undefined ? "no_process" : "process_not_callable";
    fail("refused", { __proto__: null, code });
    return -1;
  });

  const read = ((text) => {
    if (find() !== 0) return -1;
    const start = world[CONTEXT];
    context = readContext(slice(text, 0, start));
    if (context === undefined) return -1;
    try {
      input = parse(slice(text, start));
    } catch (error) {
      fail("invalid_input", { __proto__: null, message: messageOf(error) });
      return -1;
    }
    return checkInput(input) ? 0 : -1;
  });

  // As `read`, if the payload is in a buffer already; then calls `process`.
  const startWithBytes = (text) => {
    if (find() !== 0) return -1;
    context = readContext(text);
    if (context === undefined) return -1;
    input = bytesIo.given();
    run();
    return 1;
  };

  // Params are a string in the context, so they cannot forge other members.
  const readContext = ((text) => {
    try {
      const read = parse(text);
      read.params = parse(read.params);
      return read;
    } catch (error) {
      fail("invalid_input", { __proto__: null, message: `params: ${messageOf(error)}` });
      return undefined;
    }
  });

  const messageOf = (error) => readText(error, "message", MAX_TEXT);

  const run = (() => {
    const data = input;
    input = undefined;
    followLimit();
    let result, waits;
    try {
      result = apply(script, undefined, [data, context]);
      waits = isObject(result)
        && (typeof result.then === "function" || getPrototypeOf(result) === PromisePrototype);
    } catch (thrown) {
      threw(thrown);
      return;
    }
    if (waits) settle(result);
    else finish(result, "process");
  });

  // `await` uses nothing that user code can replace, except the `then` of a thenable.
  const settle = async (promise) => {
    let result;
    try {
      result = await promise;
    } catch (thrown) {
      threw(thrown);
      return;
    }
    finish(result, "process");
  };

  const finish = ((result, caller) => {
    if (hasBytes) {
      if (bytesIo.finish(result)) phase = DONE;
      return;
    }
    try {
      output = stringify(result);
      returned = result;
    } catch (thrown) {
      unwritable(result, thrown);
      return;
    }
    if (output === undefined) {
      invalid(`${caller} returned ${nameOf(result)}, which has no JSON${hintOf(result)}`);
    } else if (checkOutput(output)) phase = DONE;
  });

  // ---- schemas, of a job that has some: see validator/job_checks.js

  let openChecks = null, checks = null;

  // Takes the validator, which the cell has just evaluated, from the global object.
  const takeValidator = () => {
    ({ openChecks } = globalThis.validator);
    deleteProperty(globalThis, "validator");
  };

  const checkInput = (value) => checks === null || passes(checks.input(value));
  // What has been written is parsed again: whatever a getter or a `toJSON` showed, it decides.
  const checkOutput = (written) => checks === null || passes(checks.output(written));

  const passes = (refusal) => {
    if (refusal !== null) fail(refusal.kind, refusal);
    return refusal === null;
  };

  const nameOf = (result) => {
    if (typeof result === "symbol" || typeof result === "function") return `a ${typeof result}`;
    return result === undefined ? "undefined" : "an object whose toJSON returns nothing";
  };

  const hintOf = (result) =>
    (result === undefined ? "; did it forget `return`?" : "");

  const invalid = (message) =>
    fail("invalid_result", { __proto__: null, message: clip(message, MAX_TEXT) });

  // Recognises the errors of JSON.stringify by their origin and message. An error with a user frame
  // comes from a getter, a proxy or a toJSON: user code threw it.
  const unwritable = (result, thrown) => {
    const origin = originOf(thrown);
    const message = readText(thrown, "message", MAX_TEXT);
    const own = origin !== undefined && origin.writing && origin.line === null;
    if (!own || message === undefined) threw(thrown);
    else if (isNative(thrown, RangeErrorPrototype)) {
      if (message === "Invalid string length") fail("output_too_large", { __proto__: null });
      else if (message === "Maximum call stack size exceeded") {
        invalid(`the result is nested too deeply for JSON.stringify: ${message}`);
      } else invalid(`the result cannot be written: ${message}`);
    } else if (startsWith(message, "Converting circular structure to JSON")) invalid(message);
    else if (message === "Do not know how to serialize a BigInt") {
      const path = findBigInt(result);
      invalid(path === undefined ? message : `a BigInt has no JSON: ${path}`);
    } else if (isNative(thrown, TypeErrorPrototype)) {
      invalid(`the result cannot be written: ${message}`);
    } else threw(thrown);
  };

  // Runs JSON.stringify again, which visits every value in its own order.
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
      // A cycle or a user's toJSON may end the walk early; only `found` matters.
    }
    return found === undefined ? undefined : clip(found, MAX_TEXT);
  };

  const pathOf = (trail) =>
    trail.up === null ? "result" : `${pathOf(trail.up)}${step(trail.up.value, trail.key)}`;

  const step = (holder, key) => {
    if (isArray(holder)) return `[${key}]`;
    const seen = clip(key, MAX_PATH);
    return matches(identifier, seen) === null ? `[${stringify(seen)}]` : `.${seen}`;
  };

  // ---- values that JSON.stringify lost silently

  // The result is walked again, without running its getters and `toJSON`s, and with a limit: of a
  // large result only the beginning, unless its JSON contains `{}`, which is how most lost values
  // are written. A proxy's traps cannot change anything meanwhile: the output is complete, and the
  // cell ends a walk that does not return.
  const MAX_LOSSES = 10, MAX_WALK = 100_000, MAX_WALK_UNSUSPECTED = 1_000, MAX_DEPTH = 500;
  const MAX_PATH = 500;
  const ObjectPrototype = Object.prototype;
  const ArrayPrototype = Array.prototype;
  const AsyncIteratorPrototype =
    getPrototypeOf(getPrototypeOf(getPrototypeOf((async function* () {})())));
  const IteratorPrototype = Iterator.prototype;
  const hasOwn = uncurry(Object.prototype.hasOwnProperty);
  const indexOf = uncurry(String.prototype.indexOf);
  const getterOf = (prototype, name) => uncurry(getOwnPropertyDescriptor(prototype, name).get);
  const typedArrayName = getterOf(getPrototypeOf(Int8Array.prototype), Symbol.toStringTag);
  // Each getter throws for an object of another kind, whatever its prototype is.
  const BRANDS = [
    "map", getterOf(Map.prototype, "size"),
    "set", getterOf(Set.prototype, "size"),
    "regexp", getterOf(RegExp.prototype, "source"),
    "buffer", getterOf(ArrayBuffer.prototype, "byteLength"),
    "buffer", getterOf(DataView.prototype, "byteLength"),
  ];

  const losses = newList();
  let stepsLeft = MAX_WALK;

  const findLosses = (() => {
    const result = returned;
    returned = undefined;
    const suspected = output.length <= SMALL || indexOf(output, "{}") >= 0;
    if (!suspected) stepsLeft = MAX_WALK_UNSUSPECTED;
    walkThrough(result);
    return stringify(losses);
  });

  // In a stream, the results of records have one limit together.
  const noteLosses = (result, written) => {
    if (stepsLeft > 0 && losses.length < MAX_LOSSES && mayHaveLost(written)) walkThrough(result);
  };

  const mayHaveLost = (written) =>
    indexOf(written, "null") >= 0 || indexOf(written, "{}") >= 0 || indexOf(written, '{"0":') >= 0;

  const walkThrough = (result) => {
    try {
      walk(result);
    } catch {
      // A proxy threw; the losses found before are still valid.
    }
  };

  const walk = ((result) => {
    if (writesItself(ObjectPrototype) || writesItself(ArrayPrototype)) return;
    let trail = enter(null, null, result);
    while (trail !== null && stepsLeft-- > 0) {
      if (trail.next === trail.count) {
        trail = trail.up;
        continue;
      }
      const key = trail.keys === null ? trail.next : trail.keys[trail.next];
      trail.next++;
      if (typeof key === "symbol") continue;
      const found = getOwnPropertyDescriptor(trail.value, key);
      if (trail.keys !== null && (found === undefined || !found.enumerable)) continue;
      if (found !== undefined && !hasOwn(found, "value")) continue;
      const value = found === undefined ? undefined : found.value;
      if (isObject(value) && typeof value !== "function") {
        const inner = trail.depth < MAX_DEPTH ? enter(trail, key, value) : null;
        if (inner !== null) trail = inner;
      } else if (typeof value === "number") {
        if (value - value !== 0) lose("not_finite", trail, key);
      } else if (trail.keys === null && writesNothing(value)) {
        lose("no_value", trail, key);
      }
      if (losses.length >= MAX_LOSSES) return;
    }
  });

  const writesNothing = ((value) =>
    value === undefined || typeof value === "function" || typeof value === "symbol");

  // The members of an object are walked next, unless the object itself is lost.
  const enter = ((up, key, value) => {
    if (!isObject(value)) {
      if (typeof value === "number" && value - value !== 0) {
        lose("not_finite", up, key);
      }
      return null;
    }
    const list = isArray(value);
    const prototype = getPrototypeOf(value);
    const plain = prototype === null
      || prototype === ObjectPrototype || (list && prototype === ArrayPrototype);
    if (plain ? !list && hasOwnToJSON(value) : writesItself(value)) return null;
    const keys = list ? null : ownKeys(value);
    if (!list && (!plain || keys.length === 0)) {
      const code = lossOf(value, prototype, plain, keys);
      if (code !== null) {
        lose(code, up, key);
        return null;
      }
    }
    const count = list ? value.length : keys.length;
    const depth = up === null ? 0 : up.depth + 1;
    return { __proto__: null, value, key, up, keys, count, next: 0, depth };
  });

  const hasOwnToJSON = ((value) => getOwnPropertyDescriptor(value, "toJSON") !== undefined);

  const writesItself = ((value) => {
    for (let at = value; at !== null; at = getPrototypeOf(at)) {
      if (hasOwnToJSON(at)) return true;
    }
    return false;
  });

  const lossOf = ((value, prototype, plain, keys) => {
    if (isError(value)) return "error";
    if (typedArrayName(value) !== undefined) return "buffer";
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === "string" && getOwnPropertyDescriptor(value, keys[i]).enumerable) {
        return null;
      }
    }
    for (let i = 0; i < BRANDS.length; i += 2) {
      try {
        BRANDS[i + 1](value);
        return BRANDS[i];
      } catch {
        // It is of another kind.
      }
    }
    for (let at = prototype; at !== null; at = getPrototypeOf(at)) {
      if (at === PromisePrototype) return "promise";
      if (at === IteratorPrototype || at === AsyncIteratorPrototype) return "iterator";
    }
    return plain ? null : "opaque";
  });

  // One loss per path, whatever the indexes: a list of promises is one loss.
  const lose = (code, up, key) => {
    const path = key === null ? "result" : `${pathOf(up)}${step(up.value, key)}`;
    const place = key === null ? "" : placeOf({ __proto__: null, key, up, value: null });
    for (let i = 0; i < losses.length; i++) {
      if (losses[i].code === code && losses[i].place === place) return;
    }
    const loss = { __proto__: null, code, path: clip(path, MAX_PATH) };
    defineProperty(loss, "place", { __proto__: null, value: place });
    append(losses, loss);
  };

  const placeOf = (trail) => {
    if (trail.up === null) return "";
    const inner = isArray(trail.up.value) ? "[]" : step(trail.up.value, trail.key);
    return `${placeOf(trail.up)}${inner}`;
  };

  const MAX_GLOBALS = 1000;
  const newestGlobals = () => {
    const keys = ownKeys(globalThis);
    const names = newList();
    for (let i = keys.length > MAX_GLOBALS ? keys.length - MAX_GLOBALS : 0; i < keys.length; i++) {
      if (typeof keys[i] === "string" && keys[i].length <= 60) append(names, keys[i]);
    }
    return stringify(names);
  };

  const settled = (() => {
    if (phase === PENDING) {
      if (timers.fire()) return AGAIN; // after its microtasks
      fail("unsettled_promise", { __proto__: null });
    }
    if (phase !== DONE) return -1;
    if (hasBytes) return bytesIo.settled();
    return output.length <= SMALL ? output : output.length;
  });

  // ---- operations, numbered as in job.py

  const operate = (function () {
    // The checks, if 19 was called before. Or the context and the payload: 0 before the run, -1 for
    // a failure; after the run 1, or the output if it is short: the microtasks that are left cannot
    // change it. In a stream 0 or -1.
    if (typeof this === "string") {
      if (openChecks !== null) {
        checks = openChecks(this);
        openChecks = null;
        return 0;
      }
      if (streams) return stream.take(this);
      if (hasBytes) return startWithBytes(this);
      if (read(this) !== 0) return -1;
      if (this.length > SMALL) return 0; // the run should not hold its memory
      run();
      return phase === DONE && output.length <= SMALL ? output : 1;
    }
    switch (this) {
      case 0: // what the script offers, as JSON, or -1
        return examine();
      case 1:
        run();
        return 0;
      // After microtasks: the output, or its length if it is long, or -1; or AGAIN.
      case 2:
        return settled();
      case 3: // the output
        return output;
      case 5: // what V8 knew about the error whose stack was read last, as JSON
        return latest === undefined ? "null" : stringify(latest);
      case 6: // the newest names of the global object, as JSON
        return newestGlobals();
      case 7: // the values that the output lost, as JSON
        return findLosses();
      // Streams: what 8 and 9 return is in stream.js, `status`.
      case 8: // use what has been given, as far as there is room for output
        return stream.advance();
      case 9: // the input is complete: as 8, and at the end there is an output
        return stream.end();
      case 10: // JSON lines
        return stream.takeText();
      case 11: // how many bytes are in the shared buffer
        return stream.takeBytes(BUFFER_BYTES);
      case 12: // the errors of records, as JSON
        return stream.takeErrors();
      case 13: // the length of the output, after 9
        return output.length;
      case 14: // the job is a stream; runs before user code
        streams = true;
        parts[3] = stream.openBuffer(BUFFER_BYTES);
        return 0;
      // `io: bytes`: 15 and 16 run before user code; they make the input's buffer (-1: there is no
      // memory for it), and that through which the result leaves.
      case 15:
        hasBytes = true;
        parts[3] = bytesIo.openInput(world[INPUT_BYTES]);
        return parts[3] === null ? -1 : 0;
      case 16:
        parts[3] = bytesIo.openOutput(BUFFER_BYTES);
        return 0;
      case 17: // how many bytes of the result are in its buffer now
        return bytesIo.take();
      case 18: // the result's media type, as the script gave it
        return bytesIo.type();
      case 19: // the job has checks, which come next; before user code
        takeValidator();
        return 0;
      default: // the failure, as JSON
        return failure;
    }
  });
  parts[2] = operate;

  // ---- names that other hosts have

  // Records an error that user code throws where nothing can catch it.
  const uncaught = (thrown) => {
    if (phase === PENDING) threw(thrown);
  };
  const BUFFER_BYTES = 1024 * 1024; // CHUNK_BYTES of protocol.py
  let streams = false, hasBytes = false;
  const timers = web.timers({
    __proto__: null, apply, floor, TypeError, threw: uncaught,
    elapsed: () => elapsed, moveTo: (due) => { elapsed = due; },
  });
  for (const name of ownKeys(timers.functions)) {
    const standIn = bind(timers.functions[name], undefined);
    defineProperty(standIn, "name", { __proto__: null, value: name });
    defineProperty(standIn, "length", { __proto__: null, value: timers.lengths[name] });
    defineProperty(globalThis, name, {
      __proto__: null, value: standIn, writable: true, enumerable: true, configurable: true,
    });
  }
  web.globals({
    __proto__: null, apply, bind, construct, defineProperty, deleteProperty,
    getOwnPropertyDescriptor, getPrototypeOf, imul, isObject, ownKeys, parse, uncurry,
    TypeError, head, bytes, draw: drawSeeded,
    slots: { __proto__: null, LENGTH, REQUEST, OFFSET }, bundles: web.bundles,
    evaluate: globalThis.eval, fromCharCode: String.fromCharCode,
    repeat: uncurry(String.prototype.repeat), slice: uncurry(ArrayBuffer.prototype.slice),
    toUpperCase: uncurry(String.prototype.toUpperCase),
    notify: () => { apply(parts[NOTIFY], undefined, []); },
    elapsed: () => elapsed, startMs: () => world[CLOCK_MS],
  });

  // ---- bytes and streams

  const bytesIo = web.bytes({
    __proto__: null, construct, fail, getOwnPropertyDescriptor, getPrototypeOf, isObject, threw,
    uncurry,
  });
  const states = web.states({
    __proto__: null, apply, clip, construct, defineProperty, getOwnPropertyDescriptor,
    getPrototypeOf, isArray, isObject, ownKeys, parse, pathStep: step, setPrototypeOf, stringify,
    toText, uncurry,
  });
  const bufferOf = uncurry(
    getOwnPropertyDescriptor(getPrototypeOf(Int8Array.prototype), "buffer").get);
  const stream = web.stream({
    __proto__: null, apply, bufferOf, checkInput, checkOutput, construct, finish, fail,
    getOwnPropertyDescriptor, getPrototypeOf, hintOf, isArray, isObject, matches, messageOf, nameOf,
    noteLosses, parse,
    readContext, slice, states, stringify, threw, timers, uncurry, unwritable,
    viewOf: bytesIo.viewOf, world,
    slots: { __proto__: null, CONTEXT, LINE, ROWS_IN, ROWS_OUT, ROWS_FAILED },
    repeat: uncurry(String.prototype.repeat),
    isPromise: (value) => getPrototypeOf(value) === PromisePrototype,
    hasFailed: () => phase === FAILED,
    // Takes a failure back, and returns it as JSON.
    forgive: () => {
      phase = PENDING;
      return failure;
    },
    conclude: (text) => {
      output = text;
      phase = DONE;
    },
  });

  // What a check needs to know, as JSON.
  const examine = () => {
    if (phase === FAILED) return -1; // in a microtask of the top level
    try {
      return stream.examine();
    } catch (thrown) {
      threw(thrown);
      return -1;
    }
  };

  // ---- each isolate

  // V8 adds some names when it makes a context, so no snapshot contains them: `Temporal`,
  // `isError`, and some of GONE.
  const freezeTemporal = (() => {
    const { fromEpochMilliseconds } = Temporal.Instant;
    const toZoned = uncurry(Temporal.Instant.prototype.toZonedDateTimeISO);
    const { toPlainDate, toPlainTime, toPlainDateTime } = Temporal.ZonedDateTime.prototype;
    const zoned = (zone) =>
      toZoned(fromEpochMilliseconds(now()), zone === undefined ? "UTC" : zone);
    const clock = {
      instant: () => fromEpochMilliseconds(now()),
      timeZoneId: () => "UTC",
      zonedDateTimeISO: (zone) => zoned(zone),
      plainDateISO: (zone) => apply(toPlainDate, zoned(zone), []),
      plainTimeISO: (zone) => apply(toPlainTime, zoned(zone), []),
      plainDateTimeISO: (zone) => apply(toPlainDateTime, zoned(zone), []),
    };
    for (const name of ownKeys(clock)) {
      replace(Temporal.Now, name, imitate(Temporal.Now[name], clock[name]));
    }
  });

  const LATE = [
    "Temporal", "SuppressedError", "DisposableStack", "AsyncDisposableStack", "Float16Array",
  ];

  const open = (() => {
    ({ isError } = Error);
    setLimit(LIMIT);
    for (let i = 0; i < GONE.length; i++) deleteProperty(globalThis, GONE[i]);
    // Keeps these names last, with a snapshot or without.
    for (let i = 0; i < LATE.length; i++) {
      const descriptor = getOwnPropertyDescriptor(globalThis, LATE[i]);
      deleteProperty(globalThis, LATE[i]);
      if (descriptor !== undefined) defineProperty(globalThis, LATE[i], descriptor);
    }
    // Bundled libraries look the global object up by this name, as in a worker; lodash would try
    // `Function` next, which compiles strings.
    defineProperty(globalThis, "self", {
      __proto__: null, value: globalThis, writable: true, enumerable: false, configurable: true,
    });
    publishError();
    defineProperty(PublicError, "stackTraceLimit", {
      __proto__: null, value: LIMIT, writable: true, enumerable: true, configurable: true,
    });
    defineProperty(Error, "prepareStackTrace", {
      __proto__: null, value: prepareStackTrace, writable: false, configurable: false,
    });
    defineProperty(PublicError, "prepareStackTrace", {
      __proto__: null,
      get: bind(() => prepareStackTrace, undefined),
      set: bind(() => {}, undefined),
      enumerable: false,
      configurable: false,
    });
    freezeTemporal();
    states.open();
    return parts;
  });

  return open;
})()
//# sourceURL=harness.js
