// What URL's libraries ask the host for.
export { TextDecoder, TextEncoder } from "@exodus/bytes/encoding.js";

// They take its getters apart; there is none, so nothing is one.
export class SharedArrayBuffer {
  get byteLength() { throw new TypeError(); }
  get growable() { throw new TypeError(); }
}
