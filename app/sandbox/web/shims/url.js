// Provide the host names that the URL libraries import.
export { TextDecoder, TextEncoder } from "@exodus/bytes/encoding.js";

// They extract its getters. The sandbox has no SharedArrayBuffer, so no object passes as one.
export class SharedArrayBuffer {
  get byteLength() { throw new TypeError(); }
  get growable() { throw new TypeError(); }
}
