// Feed a script with one part of a run: chunks of input in; chunks of output, and a state, out.
//
// The cell gives chunks one after the other and calls `advance` until a chunk is used up; between
// two calls it takes the output so far, so that output never accumulates. A promise suspends the
// work, and its microtask resumes it.
// Nothing that user code can replace is used: see harness.js, whose intrinsics come as `h`. The
// names of the script's functions must not be declared here, as `lookUp` reads the global ones.
((h) => {
  const {
    apply, construct, getOwnPropertyDescriptor, getPrototypeOf, isArray, isObject,
    matches, parse, repeat, slice, stringify, uncurry, viewOf,
  } = h;
  const FULL_UNITS = 512 * 1024; // of output; then the cell takes it
  const FULL_ERROR_UNITS = 64 * 1024;
  const USED_UP = 0, FULL = 1, FAILED = -1, AGAIN = -2;
  const { CONTEXT, LINE, ROWS_IN, ROWS_OUT, ROWS_FAILED } = h.slots;
  const { world } = h;

  const indexOf = uncurry(String.prototype.indexOf);
  const charCodeAt = uncurry(String.prototype.charCodeAt);
  const blank = /^[ \t\r]*$/;
  const NEWLINE = "\n", RETURN_CODE = 13;
  // V8's limit of a string, and the line end.
  const MAX_STRING = 2 ** 29 - 25;
  const RealUint8Array = Uint8Array;
  const TypedArrayPrototype = getPrototypeOf(Int8Array.prototype);
  const getterOf = (prototype, name) => uncurry(getOwnPropertyDescriptor(prototype, name).get);
  const copyInto = uncurry(TypedArrayPrototype.set);
  const typedLength = getterOf(TypedArrayPrototype, "length");

  // ---- the script's functions

  // Declared by let, const or class they are no properties of the global object. A getter may run.
  const lookUp = (name) => {
    switch (name) {
      case "process": return typeof process === "undefined" ? undefined : process;
      case "map": return typeof map === "undefined" ? undefined : map;
      case "start": return typeof start === "undefined" ? undefined : start;
      case "step": return typeof step === "undefined" ? undefined : step;
      case "merge": return typeof merge === "undefined" ? undefined : merge;
      default: return typeof finish === "undefined" ? undefined : finish;
    }
  };
  const FOLD = ["start", "step", "finish"];

  // What the script offers, as JSON; or the code of a refusal, and the names that it is about.
  const examine = () => {
    const offers = (name) => typeof lookUp(name) === "function";
    const exists = (name) => lookUp(name) !== undefined;
    let missing = "", present = 0;
    for (let i = 0; i < FOLD.length; i++) {
      if (offers(FOLD[i])) present++;
      else missing += `${missing === "" ? "" : ","}"${FOLD[i]}"`;
    }
    let kinds = "";
    const add = (kind) => { kinds += `${kinds === "" ? "" : ","}"${kind}"`; };
    if (offers("process")) add("process");
    if (offers("map")) add("map");
    if (missing === "") {
      if (offers("merge") || !exists("merge")) add("fold");
      if (offers("merge")) add("merge");
      else if (kinds === "") return '{"code":"merge_not_callable"}';
    }
    if (kinds !== "") return `{"kinds":[${kinds}]}`;
    if (exists("process")) return '{"code":"process_not_callable"}';
    if (exists("map")) return '{"code":"map_not_callable"}';
    if (present > 0) return `{"code":"incomplete_fold","missing":[${missing}]}`;
    return '{"code":"no_process"}';
  };

  // ---- the part

  let options, context, functions;
  let mapper = "map"; // the function that a map calls
  let ready = false; // the options have been read
  let state, hasState = false;
  let action = ""; // the function that was called last
  let busy = false; // it returned a promise
  let ended = false, concluded = false; // the input is complete; and its end has been dealt with

  // The chunk: what it is, what is left of it, and its lines.
  let kind = "", body = "", at = 0, line = 0, count = 0, bad = null, badAt = 0, stateText = null;

  // What the cell has not taken yet.
  let text = "", errors = "", first = null, final = null, pendingBytes = 0;
  let shared = null; // bytes, to and from the cell
  let filled = 0; // of `shared`, before those in the list

  const openBuffer = (length) => {
    const buffer = new ArrayBuffer(length);
    shared = construct(RealUint8Array, [buffer]);
    return buffer;
  };

  // ---- what the cell gives

  // The options and the context first, then a header and the text of a chunk.
  const take = (given) => {
    const length = world[CONTEXT];
    const header = parse(slice(given, 0, length));
    if (ready) {
      takeChunk(header, slice(given, length));
      return 0;
    }
    ready = true;
    options = header;
    if (options.each_record) mapper = "process";
    context = h.readContext(slice(given, length));
    return context === undefined || !findFunctions() ? FAILED : 0;
  };

  const findFunctions = () => {
    functions = { __proto__: null };
    const { needs } = options;
    for (let i = 0; i < needs.length; i++) {
      let found;
      try {
        found = lookUp(needs[i]);
      } catch (thrown) {
        h.threw(thrown);
        return false;
      }
      if (typeof found !== "function") {
        h.fail("refused", { __proto__: null, code: "no_function", name: needs[i] });
        return false;
      }
      functions[needs[i]] = found;
    }
    return true;
  };

  const takeChunk = (header, given) => {
    at = 0;
    badAt = 0;
    if (header.state) {
      kind = "state";
      stateText = given;
      return;
    }
    ({ line, count, bad } = header);
    kind = options.format;
    if (kind === "bytes") body = bytesOf(header.bytes);
    else body = given;
  };

  const bytesOf = (length) => {
    const copy = construct(RealUint8Array, [length]);
    copyInto(copy, construct(RealUint8Array, [h.bufferOf(shared), 0, length]));
    return copy;
  };

  // ---- work

  const advance = () => {
    if (busy) {
      if (h.timers.fire()) return AGAIN; // after its microtasks
      h.fail("unsettled_promise", { __proto__: null });
    }
    work();
    return status();
  };

  const status = () => {
    if (h.hasFailed()) return FAILED;
    if (busy) return AGAIN;
    return isFull() ? FULL : USED_UP;
  };

  const isFull = () =>
    text.length >= FULL_UNITS || pendingBytes >= FULL_UNITS || errors.length >= FULL_ERROR_UNITS;

  const work = () => {
    while (!busy && !isFull() && !h.hasFailed()) {
      if (!hasState && options.task === "fold" && kind !== "state") invoke("start", [context]);
      else if (kind !== "") useChunk();
      else if (ended && !concluded) {
        concluded = true;
        conclude();
      } else return;
    }
  };

  const end = () => {
    ended = true;
    return advance();
  };

  const useChunk = () => {
    if (kind === "state") useState();
    else if (options.task === "map") mapNext();
    else foldChunk();
  };

  const dropChunk = () => {
    kind = "";
    body = "";
    bad = null;
  };

  const invoke = (name, args) => {
    action = name;
    let result, waits;
    try {
      result = apply(functions[name], undefined, args);
      waits = isObject(result)
        && (typeof result.then === "function" || h.isPromise(result));
    } catch (thrown) {
      threw(thrown);
      return;
    }
    if (waits) {
      busy = true;
      settle(result);
    } else accept(result);
  };

  const settle = async (promise) => {
    let result;
    try {
      result = await promise;
    } catch (thrown) {
      if (h.hasFailed()) return; // a callback of a timer has thrown meanwhile
      busy = false;
      threw(thrown);
      work();
      return;
    }
    if (h.hasFailed()) return;
    busy = false;
    accept(result);
    work();
  };

  const accept = (result) => {
    if (action === mapper) {
      emit(result);
    } else if (action === "finish") {
      h.finish(result, "finish");
    } else if (result === undefined) {
      invalid(`${action} returned undefined; did it forget \`return\`?`);
    } else {
      state = result;
      hasState = true;
    }
  };

  const threw = (thrown) => {
    h.threw(thrown);
    recover();
  };

  const invalid = (message) => {
    h.fail("invalid_result", { __proto__: null, message });
    recover();
  };

  // A record that failed is left out, if the part goes on: a map keeps nothing between records.
  const recover = () => {
    if (action !== mapper && action !== "read") return;
    world[ROWS_FAILED]++;
    if (options.on_error === "fail" || world[ROWS_FAILED] > options.max_errors) return;
    const failure = h.forgive();
    errors += `${errors === "" ? "" : ","}{"line":${world[LINE]},"failure":${failure}}`;
  };

  // ---- lines and records

  // Makes the next line the current one, without its end; false: there is none.
  let current = "", index = 0;
  const nextLine = () => {
    if (at >= body.length) return false;
    const found = indexOf(body, NEWLINE, at);
    let until = found < 0 ? body.length : found;
    const following = until + 1;
    // A carriage return is part of the line's end, not of the line.
    if (found >= 0 && until > at && charCodeAt(body, until - 1) === RETURN_CODE) until--;
    current = slice(body, at, until);
    at = following;
    world[LINE] = line + index;
    index++;
    return true;
  };

  const NONE = { __proto__: null };

  // The value of the current line; NONE: it has none.
  const readLine = () => {
    if (bad !== null && badAt < bad.length && bad[badAt] === index - 1) {
      action = "read";
      world[ROWS_IN]++;
      h.fail("invalid_input", { __proto__: null, message: bad[badAt + 1] });
      badAt += 2;
      recover();
      return NONE;
    }
    if (kind === "lines") {
      world[ROWS_IN]++;
      return current;
    }
    let value;
    try {
      value = parse(current);
    } catch (error) {
      if (matches(blank, current) !== null) return NONE;
      action = "read";
      world[ROWS_IN]++;
      h.fail("invalid_input", { __proto__: null, message: h.messageOf(error) });
      recover();
      return NONE;
    }
    world[ROWS_IN]++;
    if (h.checkInput(value)) return value;
    action = "read";
    recover();
    return NONE;
  };

  const mapNext = () => {
    if (kind === "bytes" || kind === "text") {
      const whole = body;
      world[LINE] = line;
      world[ROWS_IN]++;
      dropChunk();
      invoke(mapper, [whole, context]);
      return;
    }
    if (at === 0) index = 0;
    if (!nextLine()) {
      dropChunk();
      return;
    }
    const value = readLine();
    if (value !== NONE) invoke(mapper, [value, context]);
  };

  const foldChunk = () => {
    let whole = body;
    if (kind === "records" || kind === "lines") {
      // Elements that exist are assigned without a look at the prototype, whose setters would run.
      whole = parse(count === 0 ? "[]" : `[${repeat("null,", count - 1)}null]`);
      let length = 0;
      index = 0;
      while (nextLine()) {
        const value = readLine();
        if (h.hasFailed()) return;
        if (value !== NONE) whole[length++] = value;
      }
      whole.length = length;
      if (length === 0) whole = NONE;
    } else world[ROWS_IN]++;
    world[LINE] = line;
    dropChunk();
    if (whole !== NONE) invoke("step", [state, whole]);
  };

  // ---- states

  const useState = () => {
    const given = stateText;
    stateText = null;
    kind = "";
    let read;
    try {
      read = h.states.decode(given);
    } catch {
      h.fail("invalid_input", { __proto__: null, message: "the state cannot be read" });
      return;
    }
    if (hasState) invoke("merge", [state, read]);
    else {
      state = read;
      hasState = true;
    }
  };

  const conclude = () => {
    if (options.task === "map") h.conclude("");
    else if (options.finish) invoke("finish", [state]);
    else {
      let written;
      try {
        written = h.states.encode(state);
      } catch (thrown) {
        const refusal = h.states.refusalOf(thrown);
        if (refusal === undefined) h.threw(thrown);
        else {
          const message = `${refusal}, which cannot cross parts`;
          h.fail("invalid_result", { __proto__: null, message });
        }
        return;
      }
      h.conclude(written);
    }
  };

  // ---- output

  const emit = (result) => {
    if (result === null && !options.each_record && !options.nulls) return;
    if (!options.many) {
      emitOne(result);
      return;
    }
    if (!isArray(result)) {
      invalid("map returned no array, as `emit: \"many\"` asks for");
      return;
    }
    // All of a record's values, or none.
    const textBefore = text, rowsBefore = world[ROWS_OUT];
    const lastBefore = final, bytesBefore = pendingBytes, filledBefore = filled;
    const failedBefore = world[ROWS_FAILED];
    for (let i = 0; i < result.length; i++) {
      let one;
      try {
        one = result[i];
      } catch (thrown) {
        threw(thrown);
        break;
      }
      if (one === null) continue;
      emitOne(one);
      if (world[ROWS_FAILED] !== failedBefore) break;
    }
    if (world[ROWS_FAILED] === failedBefore) return;
    text = textBefore;
    world[ROWS_OUT] = rowsBefore;
    pendingBytes = bytesBefore;
    filled = filledBefore;
    final = lastBefore;
    if (final === null) first = null;
    else final.next = null;
  };

  const emitOne = (value) => {
    if (options.output === "bytes") {
      emitBytes(value);
      return;
    }
    let written;
    try {
      written = writer.finish(value);
    } catch (thrown) {
      h.unwritable(value, thrown);
      recover();
      return;
    }
    if (written === undefined) {
      invalid(`${mapper} returned ${h.nameOf(value)}, which has no JSON${h.hintOf(value)}`);
      return;
    }
    if (text.length + written.length >= MAX_STRING) {
      invalid("the values of one chunk of the input are longer than a string can be");
      return;
    }
    // A null that only stands for no value is none of the output.
    if (!(options.nulls && written === "null") && !h.checkOutput(written)) {
      recover();
      return;
    }
    text += `${written}\n`;
    if (options.each_record) h.noteLosses(value, written);
    world[ROWS_OUT]++;
  };
  // By this name harness.js knows the caller of JSON.stringify.
  const writer = { __proto__: null, finish: (value) => stringify(value) };

  const emitBytes = (value) => {
    const bytes = viewOf(value);
    if (bytes === undefined) {
      invalid(`map returned ${isObject(value) ? "an object" : `a ${typeof value}`}, no bytes`);
      return;
    }
    world[ROWS_OUT]++;
    const length = typedLength(bytes);
    if (length === 0) return;
    pendingBytes += length;
    // Copied, as the script may go on to use them.
    if (first === null && filled + length <= typedLength(shared)) {
      copyInto(shared, bytes, filled);
      filled += length;
      return;
    }
    const copy = construct(RealUint8Array, [length]);
    copyInto(copy, bytes);
    const node = { __proto__: null, bytes: copy, length, next: null };
    if (final === null) first = node;
    else final.next = node;
    final = node;
  };

  const takeText = () => {
    const taken = text;
    text = "";
    return taken;
  };

  const takeErrors = () => {
    const taken = `[${errors}]`;
    errors = "";
    return taken;
  };

  // Moves bytes to the shared buffer, unless some are there, and returns how many.
  let taken = 0; // of the first node
  const takeBytes = (capacity) => {
    if (filled === 0) {
      while (first !== null && filled < capacity) {
        const left = first.length - taken;
        const room = capacity - filled;
        const moved = left < room ? left : room;
        const source = construct(RealUint8Array, [h.bufferOf(first.bytes), taken, moved]);
        copyInto(shared, source, filled);
        filled += moved;
        taken += moved;
        if (taken === first.length) {
          first = first.next;
          taken = 0;
        }
      }
      if (first === null) final = null;
    }
    const count = filled;
    filled = 0;
    pendingBytes -= count;
    return count;
  };

  return {
    __proto__: null, advance, end, examine, openBuffer, take, takeBytes, takeErrors, takeText,
  };
})
