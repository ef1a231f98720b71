// Decide whether texts are addresses of the Internet Protocol.

import { indexOf, matches, slice } from "./primordials.js";

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
const GROUP = /^[0-9A-Fa-f]{1,4}$/;
const GROUPS = 8;

export const isIpv4 = (text) => matches(IPV4, text) !== null;

// RFC 4291, section 2.2: one run of zeros may be left out, and the last two groups may be an
// address of version 4.
export const isIpv6 = (text) => {
  const gap = indexOf(text, "::");
  if (gap < 0) return countGroups(text, true) === GROUPS;
  const before = slice(text, 0, gap);
  const after = slice(text, gap + 2);
  const first = before === "" ? 0 : countGroups(before, false);
  const last = after === "" ? 0 : countGroups(after, true);
  return first >= 0 && last >= 0 && first + last < GROUPS;
};

// The number of groups, or -1 if one of them is none.
const countGroups = (text, isEnd) => {
  let count = 0;
  let start = 0;
  while (start <= text.length) {
    let end = indexOf(text, ":", start);
    if (end < 0) end = text.length;
    const group = slice(text, start, end);
    if (matches(GROUP, group) !== null) count++;
    else if (isEnd && end === text.length && isIpv4(group)) count += 2;
    else return -1;
    start = end + 1;
  }
  return count;
};
