// Implement `structuredClone` (HTML 2.7). The libraries report a failed allocation as a
// DataCloneError, so a run over its memory limit would look like a script that failed.
import DOMException from "core-js-pure/actual/dom-exception";

const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
const { call } = Function.prototype;
const uncurry = call.bind.bind(call);
const getter = (prototype, name) => uncurry(getOwnPropertyDescriptor(prototype, name).get);
const { isArray } = Array;
const { isView } = ArrayBuffer;
const { keys } = Object;
const { isError } = Error;
const ObjectPrototype = Object.prototype;
const TypedPrototype = getPrototypeOf(Uint8Array.prototype);

const tagOf = uncurry(ObjectPrototype.toString);
const mapForEach = uncurry(Map.prototype.forEach);
const mapGet = uncurry(Map.prototype.get);
const mapHas = uncurry(Map.prototype.has);
const mapSet = uncurry(Map.prototype.set);
const setAdd = uncurry(Set.prototype.add);
const setForEach = uncurry(Set.prototype.forEach);
const push = uncurry(Array.prototype.push);
const toTime = uncurry(Date.prototype.getTime);
const source = getter(RegExp.prototype, "source");
const flags = getter(RegExp.prototype, "flags");
const isDetached = getter(ArrayBuffer.prototype, "detached");
const isResizable = getter(ArrayBuffer.prototype, "resizable");
const maxByteLength = getter(ArrayBuffer.prototype, "maxByteLength");
const bufferLength = getter(ArrayBuffer.prototype, "byteLength");
const transferTo = uncurry(ArrayBuffer.prototype.transfer);
const typedName = getter(TypedPrototype, Symbol.toStringTag);
const typedBuffer = getter(TypedPrototype, "buffer");
const typedOffset = getter(TypedPrototype, "byteOffset");
const typedLength = getter(TypedPrototype, "length");
const fill = uncurry(TypedPrototype.set);
const viewBuffer = getter(DataView.prototype, "buffer");
const viewOffset = getter(DataView.prototype, "byteOffset");
const viewLength = getter(DataView.prototype, "byteLength");
const BOXES = {
  __proto__: null,
  "[object Boolean]": uncurry(Boolean.prototype.valueOf),
  "[object Number]": uncurry(Number.prototype.valueOf),
  "[object String]": uncurry(String.prototype.valueOf),
  "[object BigInt]": uncurry(BigInt.prototype.valueOf),
};
const ERRORS = {
  __proto__: null, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError,
};
const TYPED = {
  __proto__: null, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array,
  Uint32Array, BigInt64Array, BigUint64Array, Float32Array, Float64Array,
  Float16Array: globalThis.Float16Array,
};
const Copies = Map;
// Objects whose state is not in properties.
const OPAQUE = /^\[object (?:Promise|Weak(?:Map|Set)|(?:Async)?Generator|[\w ]+ Iterator|Intl\.\w+|Temporal\.\w+|Iterator Helper|(?:Async)?DisposableStack)\]$/;
const isOpaque = uncurry(RegExp.prototype.test);

const refuse = (what) => {
  throw new DOMException(`${what} could not be cloned.`, "DataCloneError");
};

const define = (object, key, value) => defineProperty(object, key, {
  __proto__: null, value, writable: true, enumerable: true, configurable: true,
});

const clone = (value, copies) => {
  if (typeof value === "symbol") refuse(String(value));
  if (typeof value === "function") refuse(`The function ${value.name}`);
  if (typeof value !== "object" || value === null) return value;
  if (mapHas(copies, value)) return mapGet(copies, value);
  const keep = (copy) => {
    mapSet(copies, value, copy);
    return copy;
  };
  if (isArray(value)) return cloneMembers(value, keep(new Array(value.length)), copies);
  if (isView(value)) return keep(cloneView(value, copies));
  if (isError(value)) return cloneError(value, keep, copies);
  const prototype = getPrototypeOf(value);
  if (prototype !== ObjectPrototype && prototype !== null) {
    const tag = tagOf(value);
    const copy = cloneBranded(value, tag, keep, copies);
    if (copy !== undefined) return copy;
    if (isOpaque(OPAQUE, tag)) refuse(tag);
  }
  return cloneMembers(value, keep({}), copies);
};

const cloneMembers = (value, copy, copies) => {
  const names = keys(value);
  for (let i = 0; i < names.length; i++) {
    define(copy, names[i], clone(value[names[i]], copies));
  }
  return copy;
};

// An object that only claims to be of a kind is cloned as a plain object.
const brand = (read, value) => {
  try {
    return { __proto__: null, held: read(value) };
  } catch {
    return undefined;
  }
};

const cloneBranded = (value, tag, keep, copies) => {
  switch (tag) {
    case "[object Date]": {
      const time = brand(toTime, value);
      return time && keep(new Date(time.held));
    }
    case "[object RegExp]": {
      const text = brand(source, value);
      return text && keep(new RegExp(text.held, flags(value)));
    }
    case "[object Map]": {
      const entries = [];
      const gather = (held, key) => { push(entries, key, held); };
      if (brand((map) => mapForEach(map, gather), value) === undefined) return undefined;
      const copy = keep(new Map());
      for (let i = 0; i < entries.length; i += 2) {
        mapSet(copy, clone(entries[i], copies), clone(entries[i + 1], copies));
      }
      return copy;
    }
    case "[object Set]": {
      const members = [];
      const gather = (held) => { push(members, held); };
      if (brand((set) => setForEach(set, gather), value) === undefined) return undefined;
      const copy = keep(new Set());
      for (let i = 0; i < members.length; i++) setAdd(copy, clone(members[i], copies));
      return copy;
    }
    case "[object ArrayBuffer]":
      return brand(bufferLength, value) && keep(cloneBuffer(value));
    default: {
      const box = BOXES[tag] && brand(BOXES[tag], value);
      return box && keep(Object(box.held));
    }
  }
};

const cloneBuffer = (buffer) => {
  if (isDetached(buffer)) refuse("An ArrayBuffer that is detached");
  const length = bufferLength(buffer);
  const copy = isResizable(buffer)
    ? new ArrayBuffer(length, { __proto__: null, maxByteLength: maxByteLength(buffer) })
    : new ArrayBuffer(length);
  fill(new Uint8Array(copy), new Uint8Array(buffer));
  return copy;
};

const cloneView = (view, copies) => {
  const name = typedName(view);
  const buffer = name === undefined ? viewBuffer(view) : typedBuffer(view);
  const copy = clone(buffer, copies);
  if (name === undefined) return new DataView(copy, viewOffset(view), viewLength(view));
  return new TYPED[name](copy, typedOffset(view), typedLength(view));
};

const cloneError = (error, keep, copies) => {
  const { name, stack } = error;
  const copy = keep(new (ERRORS[name] ?? Error)());
  const message = getOwnPropertyDescriptor(error, "message");
  const cause = getOwnPropertyDescriptor(error, "cause");
  const hidden = (key, value) => defineProperty(copy, key, {
    __proto__: null, value, writable: true, enumerable: false, configurable: true,
  });
  if (typeof stack === "string") hidden("stack", stack);
  if (message !== undefined && "value" in message) hidden("message", `${message.value}`);
  if (cause !== undefined && "value" in cause) hidden("cause", clone(cause.value, copies));
  return copy;
};

const TRANSFER = "Failed to execute 'structuredClone': ";

export function structuredClone(value, options = undefined) {
  if (arguments.length === 0) throw new TypeError(`${TRANSFER}1 argument required, but only 0 present`);
  const isDictionary = options === undefined || options === null || typeof options === "object"
    || typeof options === "function";
  if (!isDictionary) throw new TypeError(`${TRANSFER}the options are no object`);
  const wanted = options?.transfer;
  const copies = new Copies();
  if (wanted === undefined) return clone(value, copies);
  const buffers = [...wanted];
  for (let i = 0; i < buffers.length; i++) {
    const length = brand(bufferLength, buffers[i]);
    if (length === undefined || mapHas(copies, buffers[i])) {
      throw new DOMException(`${TRANSFER}the transfer list has what cannot be transferred, or twice`,
        "DataCloneError");
    }
    mapSet(copies, buffers[i], cloneBuffer(buffers[i]));
  }
  const copy = clone(value, copies);
  for (let i = 0; i < buffers.length; i++) transferTo(buffers[i], 0);
  return copy;
}
defineProperty(structuredClone, "length", { __proto__: null, value: 1 });
