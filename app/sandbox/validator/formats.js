// Decide whether texts have the formats that JSON Schema names.
//
// Formats that are absent here, such as `idn-hostname`, whose rules are tables of Unicode, are
// annotations only.

import { indexOf, lastIndexOf, matches, slice } from "./primordials.js";
import { isPattern } from "./patterns.js";
import { isDate, isDateTime, isDuration, isTime } from "./time_formats.js";
import { isIri, isIriReference, isUri, isUriReference, isUriTemplate } from "./uri_formats.js";
import { isIpv4, isIpv6 } from "./address_formats.js";

const matching = (pattern) => (text) => matches(pattern, text) !== null;

const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const MAX_HOSTNAME = 253;

const isHostname = (text) => {
  if (text.length > MAX_HOSTNAME) return false;
  let start = 0;
  while (start <= text.length) {
    let end = indexOf(text, ".", start);
    if (end < 0) end = text.length;
    if (matches(LABEL, slice(text, start, end)) === null) return false;
    start = end + 1;
  }
  return true;
};

// RFC 5321, section 4.1.2.
const DOT_STRING = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const QUOTED_STRING = /^"(?:[ !#-[\]-~]|\\[ -~])*"$/;
const MAX_LOCAL = 64;

const isEmail = (text) => {
  const at = lastIndexOf(text, "@");
  if (at < 1 || at > MAX_LOCAL) return false;
  const local = slice(text, 0, at);
  if (matches(DOT_STRING, local) === null && matches(QUOTED_STRING, local) === null) return false;
  const domain = slice(text, at + 1);
  if (domain[0] !== "[" || domain[domain.length - 1] !== "]") return isHostname(domain);
  const literal = slice(domain, 1, domain.length - 1);
  return slice(literal, 0, 5) === "IPv6:" ? isIpv6(slice(literal, 5)) : isIpv4(literal);
};

// RFC 6531 adds nearly all of Unicode to both parts, so this only looks for them.
const isIdnEmail = matching(/^[^\s@]+(?:@[^\s@]+)*@[^\s@.]+(?:\.[^\s@.]+)*$/u);

export const FORMATS = {
  __proto__: null,
  "date-time": isDateTime, date: isDate, time: isTime, duration: isDuration,
  email: isEmail, "idn-email": isIdnEmail, hostname: isHostname,
  ipv4: isIpv4, ipv6: isIpv6,
  uri: isUri, "uri-reference": isUriReference, iri: isIri, "iri-reference": isIriReference,
  "uri-template": isUriTemplate,
  uuid: matching(/^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/),
  "json-pointer": matching(/^(?:\/(?:[^/~]|~[01])*)*$/),
  "relative-json-pointer": matching(/^(?:0|[1-9][0-9]*)(?:#|(?:\/(?:[^/~]|~[01])*)*)$/),
  regex: isPattern,
};
