// Write a state of a fold as text, and read it again, exactly: what crosses the parts of a run.
//
// The text is one JSON array: the version, the root, a letter for the kind of each object, then the
// content of each object. docs/design/runs.md specifies it. Objects are numbered as they are found,
// so shared objects stay shared and cycles stay cycles, and nothing here recurses.
// Nothing that user code can replace is used: see harness.js, whose intrinsics come as `h`.
((h) => {
  const {
    apply, clip, construct, getOwnPropertyDescriptor, getPrototypeOf, isArray, isObject, ownKeys,
    parse, pathStep, setPrototypeOf, stringify, toText, uncurry,
  } = h;
  const VERSION = 1;
  const FIRST = 3; // the index of the first content
  const MAX_PATH_STEPS = 12, MAX_PATH = 500;

  const RealMap = Map, RealSet = Set, RealDate = Date, RealWeakMap = WeakMap, RealBigInt = BigInt;
  const RealArrayBuffer = ArrayBuffer, RealUint8Array = Uint8Array;
  const ObjectPrototype = Object.prototype, ArrayPrototype = Array.prototype;
  const MapPrototype = Map.prototype, SetPrototype = Set.prototype, DatePrototype = Date.prototype;
  const BufferPrototype = ArrayBuffer.prototype;
  const hasOwn = uncurry(Object.prototype.hasOwnProperty);
  const getterOf = (prototype, name) => uncurry(getOwnPropertyDescriptor(prototype, name).get);
  const TypedArrayPrototype = getPrototypeOf(Int8Array.prototype);
  const typedName = getterOf(TypedArrayPrototype, Symbol.toStringTag);
  const typedBuffer = getterOf(TypedArrayPrototype, "buffer");
  const typedOffset = getterOf(TypedArrayPrototype, "byteOffset");
  const typedLength = getterOf(TypedArrayPrototype, "length");
  const viewBuffer = getterOf(DataView.prototype, "buffer");
  const viewOffset = getterOf(DataView.prototype, "byteOffset");
  const viewLength = getterOf(DataView.prototype, "byteLength");
  const bufferLength = getterOf(BufferPrototype, "byteLength");
  const maxLength = getterOf(BufferPrototype, "maxByteLength");
  const isResizable = getterOf(BufferPrototype, "resizable");
  const isDetached = getterOf(BufferPrototype, "detached");
  const mapSize = getterOf(MapPrototype, "size"), setSize = getterOf(SetPrototype, "size");
  const mapSet = uncurry(MapPrototype.set), mapForEach = uncurry(MapPrototype.forEach);
  const setAdd = uncurry(SetPrototype.add), setForEach = uncurry(SetPrototype.forEach);
  const timeOf = uncurry(DatePrototype.getTime);
  const bigToText = uncurry(BigInt.prototype.toString);
  const copyInto = uncurry(TypedArrayPrototype.set);
  const numberOf = uncurry(RealWeakMap.prototype.get);
  const setNumber = uncurry(RealWeakMap.prototype.set);
  const slice = uncurry(String.prototype.slice);
  const charAt = uncurry(String.prototype.charAt);

  // V8 adds one of them when it makes a context, and the functions of base64.
  const NAMES = [
    "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array",
    "Uint32Array", "Float16Array", "Float32Array", "Float64Array", "BigInt64Array",
    "BigUint64Array", "DataView",
  ];
  const views = { __proto__: null };
  let fromBase64, toBase64;
  const open = () => {
    ({ fromBase64 } = RealUint8Array);
    toBase64 = uncurry(RealUint8Array.prototype.toBase64);
    for (let i = 0; i < NAMES.length; i++) {
      const make = globalThis[NAMES[i]];
      views[NAMES[i]] = { __proto__: null, make, prototype: make.prototype };
    }
  };

  // ---- write

  // Of the state that is being written.
  let numbers, count, last, kinds, contents;

  let refusal; // what `encode` threw last

  // Returns the text. Throws a refusal, or what a proxy in the state throws.
  const encode = (value) => {
    numbers = construct(RealWeakMap, []);
    count = 0;
    kinds = "";
    contents = "";
    let node = { __proto__: null, value: undefined, up: null, key: null, next: null };
    last = node;
    try {
      const root = slot(value, null, null);
      for (node = node.next; node !== null; node = node.next) contents += `,${write(node)}`;
      return `[${VERSION},${root},"${kinds}"${contents}]`;
    } finally {
      numbers = last = undefined;
      contents = "";
    }
  };

  // A value inside an object, or the root: JSON for what JSON has, else an array.
  const slot = (value, up, key) => {
    switch (typeof value) {
      case "string":
        return stringify(value);
      case "number":
        if (value !== value) return '["nan"]';
        if (value - value !== 0) return value > 0 ? '["inf"]' : '["-inf"]';
        return value === 0 && 1 / value < 0 ? '["-0"]' : toText(value);
      case "boolean":
        return value ? "true" : "false";
      case "undefined":
        return '["undefined"]';
      case "bigint":
        return `["big","${bigToText(value, 16)}"]`;
      case "object":
        return value === null ? "null" : `[${numbered(value, up, key)}]`;
      default:
        return refuseAt(up, key, `is a ${typeof value}`);
    }
  };

  const numbered = (value, up, key) => {
    const known = numberOf(numbers, value);
    if (known !== undefined) return known;
    setNumber(numbers, value, count);
    last = last.next = { __proto__: null, value, up, key, next: null };
    return count++;
  };

  const write = (node) => {
    const { value } = node;
    const prototype = getPrototypeOf(value);
    if (isArray(value)) {
      if (prototype !== ArrayPrototype) refuse(node, "is an instance of a class");
      return writeList(node);
    }
    if (prototype === ObjectPrototype || prototype === null) return writeMembers(node, prototype);
    if (prototype === MapPrototype && is(mapSize, value)) return writeMap(node);
    if (prototype === SetPrototype && is(setSize, value)) return writeSet(node);
    if (prototype === DatePrototype && is(timeOf, value)) {
      kinds += "d";
      refuseMembers(node);
      return slot(timeOf(value), node, null);
    }
    if (prototype === BufferPrototype && is(bufferLength, value)) return writeBuffer(node);
    return writeView(node, prototype);
  };

  const is = (read, value) => {
    try {
      read(value);
      return true;
    } catch {
      return false;
    }
  };

  const writeMembers = (node, prototype) => {
    const { value } = node;
    kinds += prototype === null ? "p" : "o";
    const keys = ownKeys(value);
    let text = "";
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      const member = memberOf(node, key);
      text += `${i === 0 ? "" : ","}${stringify(key)}:${slot(member.value, node, key)}`;
    }
    return `{${text}}`;
  };

  const memberOf = (node, key) => {
    if (typeof key === "symbol") refuse(node, "has a symbol for a key");
    const found = getOwnPropertyDescriptor(node.value, key);
    if (found === undefined || !hasOwn(found, "value")) {
      refuse(node, `has an accessor: ${clip(key, MAX_PATH)}`);
    }
    if (!found.enumerable) refuse(node, `has a hidden property: ${clip(key, MAX_PATH)}`);
    return found;
  };

  const writeList = (node) => {
    const { value } = node;
    const { length } = value;
    const keys = ownKeys(value);
    if (keys.length !== length + 1) return writeSparse(node, keys);
    let text = "";
    for (let i = 0; i < length; i++) {
      const found = getOwnPropertyDescriptor(value, i);
      if (found === undefined || !hasOwn(found, "value")) return writeSparse(node, keys);
      text += `${i === 0 ? "" : ","}${slot(found.value, node, i)}`;
    }
    kinds += "l";
    return `[${text}]`;
  };

  const writeSparse = (node, keys) => {
    const { value } = node;
    kinds += "h";
    let text = `[${value.length}`;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      if (key === "length") continue;
      const member = memberOf(node, key);
      const index = key >>> 0;
      if (toText(index) !== key || index === 2 ** 32 - 1) {
        refuse(node, `has a property beside its elements: ${clip(key, MAX_PATH)}`);
      }
      text += `,${index},${slot(member.value, node, index)}`;
    }
    return `${text}]`;
  };

  const writeMap = (node) => {
    kinds += "m";
    refuseMembers(node);
    let text = "", at = 0;
    mapForEach(node.value, (value, key) => {
      text += `${at === 0 ? "" : ","}${slot(key, node, at)},${slot(value, node, at)}`;
      at++;
    });
    return `[${text}]`;
  };

  const writeSet = (node) => {
    kinds += "s";
    refuseMembers(node);
    let text = "", at = 0;
    setForEach(node.value, (value) => {
      text += `${at === 0 ? "" : ","}${slot(value, node, at)}`;
      at++;
    });
    return `[${text}]`;
  };

  const writeBuffer = (node) => {
    const { value } = node;
    kinds += "a";
    refuseMembers(node);
    if (isDetached(value)) refuse(node, "is a detached buffer");
    const text = toBase64(construct(RealUint8Array, [value]));
    return isResizable(value) ? `["${text}",${maxLength(value)}]` : `["${text}"]`;
  };

  const writeView = (node, prototype) => {
    const { value } = node;
    let name = typedName(value);
    const isTyped = name !== undefined;
    if (!isTyped && is(viewBuffer, value)) name = "DataView";
    if (name === undefined) {
      refuse(node, typeof value === "function" ? "is a function" : "is an instance of a class");
    }
    if (views[name].prototype !== prototype) refuse(node, "is an instance of a class");
    kinds += "t";
    const buffer = (isTyped ? typedBuffer : viewBuffer)(value);
    if (isDetached(buffer)) refuse(node, "is a view of a detached buffer");
    if (!isTyped && !is(viewLength, value)) refuse(node, "is a view beyond its buffer");
    const offset = (isTyped ? typedOffset : viewOffset)(value);
    // Of a buffer that can shrink, V8 does not tell a length that follows it from a fixed one.
    if (isResizable(buffer)) refuse(node, "is a view of a resizable buffer");
    const length = (isTyped ? typedLength : viewLength)(value);
    return `["${name}",${numbered(buffer, node, null)},${offset},${length}]`;
  };

  const refuseMembers = (node) => {
    const keys = ownKeys(node.value);
    if (keys.length > 0) refuse(node, "has properties of its own");
  };

  const refuse = (node, why) => refuseAt(node.up, node.key, why);

  const refuseAt = (up, key, why) => {
    refusal = { __proto__: null, message: `${pathTo(up, key)} ${why}` };
    throw refusal;
  };

  const pathTo = (up, key) => {
    let path = "";
    let steps = 0;
    while (up !== null && steps++ < MAX_PATH_STEPS) {
      const holder = up.value;
      path = (key === null ? "" : isMember(holder) ? pathStep(holder, key) : `<${key}>`) + path;
      ({ up, key } = up);
    }
    return clip(`${up === null ? "state" : "state…"}${path}`, MAX_PATH);
  };

  // Of a Map and a Set, `key` is the position of an entry.
  const isMember = (holder) => !is(mapSize, holder) && !is(setSize, holder);

  // ---- read

  // Returns the value. Throws for a text that `encode` has not made.
  const decode = (text) => {
    const parts = parse(text);
    const letters = parts[2];
    if (parts[0] !== VERSION || parts.length !== FIRST + letters.length) throw null;
    let unfilled = null;
    // The arrays and objects that `parse` made become those of the state: their members exist, so
    // that an assignment runs no setter.
    for (let i = 0; i < letters.length; i++) {
      const content = parts[FIRST + i];
      const letter = charAt(letters, i);
      const made = make(letter, content, parts);
      parts[FIRST + i] = made;
      unfilled = { __proto__: null, letter, index: FIRST + i, content, next: unfilled };
    }
    for (let at = unfilled; at !== null; at = at.next) {
      if (at.letter === "t") parts[at.index] = makeView(at.content, parts);
    }
    for (let at = unfilled; at !== null; at = at.next) fill(at, parts);
    return read(parts[1], parts);
  };

  const make = (letter, content, parts) => {
    switch (letter) {
      case "o": case "l": case "t":
        return content;
      case "p":
        setPrototypeOf(content, null);
        return content;
      case "h": {
        const list = [];
        list.length = content[0];
        return list;
      }
      case "m":
        return construct(RealMap, []);
      case "s":
        return construct(RealSet, []);
      case "d":
        return construct(RealDate, [read(content, parts)]);
      case "a":
        return makeBuffer(content);
      default:
        throw null;
    }
  };

  const makeBuffer = (content) => {
    const bytes = apply(fromBase64, RealUint8Array, [content[0]]);
    const length = typedLength(bytes);
    const buffer = content.length === 1
      ? construct(RealArrayBuffer, [length])
      : construct(RealArrayBuffer, [length, { __proto__: null, maxByteLength: content[1] }]);
    copyInto(construct(RealUint8Array, [buffer]), bytes);
    return buffer;
  };

  const makeView = (content, parts) =>
    construct(views[content[0]].make, [parts[FIRST + content[1]], content[2], content[3]]);

  const fill = ({ letter, index, content }, parts) => {
    const made = parts[index];
    if (letter === "o" || letter === "p") {
      const keys = ownKeys(made);
      for (let i = 0; i < keys.length; i++) {
        const value = made[keys[i]];
        if (isObject(value)) made[keys[i]] = read(value, parts);
      }
    } else if (letter === "l") {
      for (let i = 0; i < made.length; i++) {
        if (isObject(made[i])) made[i] = read(made[i], parts);
      }
    } else if (letter === "h") {
      for (let i = 1; i < content.length; i += 2) {
        h.defineProperty(made, content[i], {
          __proto__: null, value: read(content[i + 1], parts),
          writable: true, enumerable: true, configurable: true,
        });
      }
    } else if (letter === "m") {
      for (let i = 0; i < content.length; i += 2) {
        mapSet(made, read(content[i], parts), read(content[i + 1], parts));
      }
    } else if (letter === "s") {
      for (let i = 0; i < content.length; i++) setAdd(made, read(content[i], parts));
    }
  };

  const read = (value, parts) => {
    if (!isObject(value)) return value;
    const tag = value[0];
    if (typeof tag === "number") return parts[FIRST + tag];
    switch (tag) {
      case "nan": return NaN;
      case "inf": return Infinity;
      case "-inf": return -Infinity;
      case "-0": return -0;
      case "undefined": return undefined;
      case "big": {
        const digits = value[1];
        return charAt(digits, 0) === "-"
          ? -RealBigInt(`0x${slice(digits, 1)}`) : RealBigInt(`0x${digits}`);
      }
      default: throw null;
    }
  };

  return {
    __proto__: null, open, encode, decode,
    // The reason why `encode` refused a state; undefined: user code threw.
    refusalOf: (thrown) => (isObject(thrown) && thrown === refusal ? refusal.message : undefined),
  };
})
