import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";

const digests = {
  __proto__: null, "SHA-1": sha1, "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512,
};
export default digests;
