// Decide whether texts are URIs (RFC 3986), IRIs (RFC 3987) or templates of URIs (RFC 6570).

import { isIpv6 } from "./address_formats.js";
import { indexOf, matches, slice } from "./primordials.js";

const UNICODE = "\\u00A0-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFEF\\u{10000}-\\u{EFFFD}";
const PRIVATE = "\\uE000-\\uF8FF\\u{F0000}-\\u{10FFFD}";

// What each part may hold; a part's own delimiters end it earlier.
const grammarOf = (letters, privateUse) => {
  const character = `[A-Za-z0-9\\-._~!$&'()*+,;=:@${letters}]|%[0-9A-Fa-f]{2}`;
  const segments = `(?:${character}|/)*`;
  return {
    authority: new RegExp(
      `^(?:(?:[A-Za-z0-9\\-._~!$&'()*+,;=:${letters}]|%[0-9A-Fa-f]{2})*@)?`
      + `(?:\\[([^\\]]*)\\]|(?:[A-Za-z0-9\\-._~!$&'()*+,;=${letters}]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?$`,
      "u"),
    path: new RegExp(`^${segments}$`, "u"),
    query: new RegExp(`^(?:${character}|[/?${privateUse}])*$`, "u"),
    fragment: new RegExp(`^(?:${character}|[/?])*$`, "u"),
  };
};
const URI = grammarOf("", "");
const IRI = grammarOf(UNICODE, PRIVATE);

const SPLIT = /^(?:([^:/?#]+):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#([^]*))?$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;
const FUTURE_ADDRESS = /^v[0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+$/i;

const fits = (pattern, text) => text === undefined || matches(pattern, text) !== null;

const hasForm = (grammar, text, absolute) => {
  const parts = matches(SPLIT, text);
  if (parts[1] === undefined ? absolute : matches(SCHEME, parts[1]) === null) return false;
  if (parts[2] !== undefined) {
    const authority = matches(grammar.authority, parts[2]);
    if (authority === null) return false;
    const literal = authority[1];
    if (literal !== undefined && !isIpv6(literal) && matches(FUTURE_ADDRESS, literal) === null) {
      return false;
    }
  }
  return fits(grammar.path, parts[3]) && fits(grammar.query, parts[4])
    && fits(grammar.fragment, parts[5]);
};

export const isUri = (text) => hasForm(URI, text, true);
export const isUriReference = (text) => hasForm(URI, text, false);
export const isIri = (text) => hasForm(IRI, text, true);
export const isIriReference = (text) => hasForm(IRI, text, false);

const LITERALS = /^(?:[^\x00-\x20"'%<>\\^`{|}]|%[0-9A-Fa-f]{2})*$/u;
const NAME = "(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})";
const VARIABLE = `${NAME}+(?:\\.${NAME}+)*(?::[1-9][0-9]{0,3}|\\*)?`;
const EXPRESSION = new RegExp(`^[+#./;?&=,!@|]?${VARIABLE}(?:,${VARIABLE})*$`);

export const isUriTemplate = (text) => {
  let start = 0;
  for (;;) {
    const open = indexOf(text, "{", start);
    if (matches(LITERALS, slice(text, start, open < 0 ? text.length : open)) === null) return false;
    if (open < 0) return true;
    const close = indexOf(text, "}", open);
    if (close < 0 || matches(EXPRESSION, slice(text, open + 1, close)) === null) return false;
    start = close + 1;
  }
};
