// Give `process` bytes, and take bytes from it: the versions of `io: bytes`.
//
// The input's buffer is made before user code runs, and the cell fills it. The result's bytes are
// read once user code is over: nothing is copied before, and nothing can change them any more. They
// leave in pieces, through a buffer that user code never sees.
// Nothing that user code can replace is used: see harness.js, whose intrinsics come as `h`.
((h) => {
  const { construct, getOwnPropertyDescriptor, getPrototypeOf, isObject, uncurry } = h;
  const RealArrayBuffer = ArrayBuffer;
  const RealUint8Array = Uint8Array;
  const TypedArrayPrototype = getPrototypeOf(Int8Array.prototype);
  const getterOf = (prototype, name) => uncurry(getOwnPropertyDescriptor(prototype, name).get);
  const copyInto = uncurry(TypedArrayPrototype.set);
  const bufferOf = getterOf(TypedArrayPrototype, "buffer");
  const offsetOf = getterOf(TypedArrayPrototype, "byteOffset");
  const lengthOf = getterOf(TypedArrayPrototype, "byteLength");
  const requireInBounds = uncurry(TypedArrayPrototype.keys); // throws, as no getter does
  const bufferLength = getterOf(ArrayBuffer.prototype, "byteLength");
  const viewedBuffer = getterOf(DataView.prototype, "buffer");
  const viewedOffset = getterOf(DataView.prototype, "byteOffset");
  const viewedLength = getterOf(DataView.prototype, "byteLength");
  const OCTET_STREAM = "application/octet-stream";
  const MAX_TYPE = 255; // as in media_types.py, which knows what a media type is
  const EXPECTED = "with `io: bytes` it returns a Uint8Array, an ArrayBuffer or `{type, body}`";

  // The bytes of a buffer or a view of one, whatever its prototype is; undefined: it is neither, or
  // its buffer is detached or has become too short.
  const viewOf = (value) => {
    if (!isObject(value)) return undefined;
    try {
      return construct(RealUint8Array, [value, 0, bufferLength(value)]);
    } catch {
      // It is of another kind.
    }
    try {
      requireInBounds(value);
      return construct(RealUint8Array, [bufferOf(value), offsetOf(value), lengthOf(value)]);
    } catch {
      // It is of another kind.
    }
    try {
      const place = [viewedBuffer(value), viewedOffset(value), viewedLength(value)];
      return construct(RealUint8Array, place);
    } catch {
      return undefined;
    }
  };

  const isView = (value) => {
    for (let i = 0; i < KINDS.length; i++) {
      try {
        KINDS[i](value);
        return true;
      } catch {
        // It is of another kind.
      }
    }
    return false;
  };
  const KINDS = [bufferLength, bufferOf, viewedBuffer];

  // ---- the input

  let input = null;
  const openInput = (length) => {
    try {
      input = construct(RealArrayBuffer, [length]);
    } catch {
      // There is no memory for it.
    }
    return input;
  };

  const given = () => construct(RealUint8Array, [input]);

  // ---- the result

  let shared = null;
  const openOutput = (length) => {
    const buffer = construct(RealArrayBuffer, [length]);
    shared = construct(RealUint8Array, [buffer]);
    return buffer;
  };

  let body, type = OCTET_STREAM;

  // Keeps the result for `settled`; reading its members may run user code.
  const finish = (result) => {
    body = result;
    if (!isObject(result) || isView(result)) return true;
    try {
      type = result.type;
      body = result.body;
    } catch (thrown) {
      h.threw(thrown);
      return false;
    }
    if (type === undefined && body === undefined) {
      return invalid(`process returned an object that is no bytes; ${EXPECTED}`);
    }
    if (type === undefined) {
      return invalid(
        `the result has no \`type\`, such as "image/png"; without one, return the bytes alone`);
    }
    if (typeof type !== "string" || type.length > MAX_TYPE) {
      return invalid(
        `the result's \`type\` is no string of up to ${MAX_TYPE} characters; ${EXPECTED}`);
    }
    if (isObject(body)) return true;
    return invalid(`the result's \`body\` is ${nameOf(body)}; ${EXPECTED}`);
  };

  const invalid = (message) => {
    h.fail("invalid_result", { __proto__: null, message });
    return false;
  };

  const nameOf = (value) => {
    if (value === undefined || value === null) return `${value}`;
    const kind = typeof value;
    if (kind === "string") return "a string, of which `new TextEncoder().encode` makes bytes";
    return kind === "object" ? "an object that is no bytes" : `a ${kind}`;
  };

  let view, length = 0, taken = 0;

  // Once no user code is left to run: the length, or -1.
  const settled = () => {
    view = viewOf(body);
    if (view !== undefined) {
      length = lengthOf(view);
      return length < 0x7fffffff ? length : 0x7fffffff; // above any limit
    }
    const what = isObject(body) && isView(body)
      ? "a view of a buffer that is detached or has become too short" : nameOf(body);
    const hint = body === undefined ? "; did it forget `return`?" : "";
    invalid(`process returned ${what}${hint}; ${EXPECTED}`);
    return -1;
  };

  // Moves the next bytes to the shared buffer, and returns how many.
  const take = () => {
    const room = lengthOf(shared), left = length - taken;
    const count = left < room ? left : room;
    const source = [bufferOf(view), offsetOf(view) + taken, count];
    copyInto(shared, construct(RealUint8Array, source), 0);
    taken += count;
    return count;
  };

  return {
    __proto__: null, finish, given, openInput, openOutput, settled, take, viewOf,
    type: () => type,
  };
})
