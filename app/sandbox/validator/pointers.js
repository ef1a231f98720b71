// Write and read JSON pointers (RFC 6901).

import { append, charCodeAt, indexOf, slice, toText } from "./primordials.js";

const TILDE = 126;

export const escapeToken = (key) => {
  const token = toText(key);
  if (indexOf(token, "~") < 0 && indexOf(token, "/") < 0) return token;
  let escaped = "";
  for (let i = 0; i < token.length; i++) {
    const unit = token[i];
    escaped += unit === "~" ? "~0" : unit === "/" ? "~1" : unit;
  }
  return escaped;
};

// `at` is a place in the document: a chain of keys, whose end is null.
export const pointerOf = (at) => {
  let pointer = "";
  for (let step = at; step !== null; step = step.up) pointer = `/${escapeToken(step.key)}${pointer}`;
  return pointer;
};

// The tokens of a pointer that is empty or begins with a slash.
export const tokensOf = (pointer) => {
  const tokens = [];
  let start = 1;
  while (start <= pointer.length) {
    let end = indexOf(pointer, "/", start);
    if (end < 0) end = pointer.length;
    append(tokens, unescapeToken(slice(pointer, start, end)));
    start = end + 1;
  }
  return tokens;
};

const unescapeToken = (token) => {
  if (indexOf(token, "~") < 0) return token;
  let text = "";
  for (let i = 0; i < token.length; i++) {
    if (charCodeAt(token, i) === TILDE && (token[i + 1] === "0" || token[i + 1] === "1")) {
      text += token[++i] === "0" ? "~" : "/";
    } else text += token[i];
  }
  return text;
};
