// Remember which members of an object or array were evaluated, and by which schemas.
//
// `unevaluatedProperties` and `unevaluatedItems` need one level of it. Strict schemas need a tree:
// an object may be described in several places, and its fields are what all of them register.

import { keys, newDictionary } from "./primordials.js";

// `names` holds true or, for the tree, the annotations of a member or item; `described` is the
// place of a schema that describes the value as an object.
export const newSeen = () => ({
  names: newDictionary(), all: false, count: 0, allItems: false, matched: null, described: null,
});

export const mark = (seen, name) => {
  if (seen.names[name] === undefined) seen.names[name] = true;
};

// The annotations of a member, for the tree.
export const within = (seen, name) => {
  const known = seen.names[name];
  if (typeof known === "object") return known;
  return (seen.names[name] = newSeen());
};

export const markMatched = (seen, index) => {
  if (seen.matched === null) seen.matched = newDictionary();
  seen.matched[index] = true;
};

export const merge = (into, from) => {
  if (from.all) into.all = true;
  if (from.allItems) into.allItems = true;
  if (from.count > into.count) into.count = from.count;
  if (into.described === null) into.described = from.described;
  const names = keys(from.names);
  for (let i = 0; i < names.length; i++) {
    const inner = from.names[names[i]];
    if (inner === true) mark(into, names[i]);
    else if (typeof into.names[names[i]] === "object") merge(into.names[names[i]], inner);
    else into.names[names[i]] = inner;
  }
  if (from.matched === null) return;
  const indexes = keys(from.matched);
  for (let i = 0; i < indexes.length; i++) markMatched(into, indexes[i]);
};

export const forgetDescriptions = (seen) => {
  seen.described = null;
  const names = keys(seen.names);
  for (let i = 0; i < names.length; i++) {
    if (seen.names[names[i]] !== true) forgetDescriptions(seen.names[names[i]]);
  }
};
