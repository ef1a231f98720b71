export { TextDecoder, TextEncoder } from "@exodus/bytes/encoding.js";
