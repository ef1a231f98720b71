// Compare JSON values: numbers by value, objects whatever the order of their members.

import { isArray, keys, newSet, setAdd, setHas, sort, stringify, toText } from "./primordials.js";

const isComposite = (value) => typeof value === "object" && value !== null;

// Equal values, and only those, have equal texts.
export const canonical = (value) => {
  if (typeof value === "string") return stringify(value);
  if (!isComposite(value)) return toText(value);
  let text = "";
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) text += `${canonical(value[i])},`;
    return `[${text}]`;
  }
  const names = sort(keys(value));
  for (let i = 0; i < names.length; i++) {
    text += `${stringify(names[i])}:${canonical(value[names[i]])},`;
  }
  return `{${text}}`;
};

export const newValueSet = () => ({ simple: newSet(), composite: newSet() });

export const hasValue = (set, value) =>
  (isComposite(value) ? setHas(set.composite, canonical(value)) : setHas(set.simple, value));

// Returns whether the value is new to the set.
export const addValue = (set, value) => {
  const members = isComposite(value) ? set.composite : set.simple;
  const key = isComposite(value) ? canonical(value) : value;
  if (setHas(members, key)) return false;
  setAdd(members, key);
  return true;
};

export const typeOf = (value) => {
  if (value === null) return "null";
  if (isArray(value)) return "array";
  return typeof value;
};

// The beginning of a value's JSON; it takes no more time than its length.
const MAX_EXCERPT = 100;
export const excerptOf = (value) => {
  const text = beginningOf(value, MAX_EXCERPT);
  return text.length <= MAX_EXCERPT ? text : `${clip(text, MAX_EXCERPT - 1)}…`;
};

const clip = (text, length) => {
  let clipped = "";
  for (let i = 0; i < length; i++) clipped += text[i];
  return clipped;
};

const beginningOf = (value, room) => {
  if (typeof value === "string") {
    return stringify(value.length > room ? clip(value, room) : value);
  }
  if (!isComposite(value)) return toText(value);
  if (room <= 0) return isArray(value) ? "[" : "{";
  if (isArray(value)) {
    let text = "[";
    for (let i = 0; i < value.length && text.length <= room; i++) {
      text += (i === 0 ? "" : ",") + beginningOf(value[i], room - text.length);
    }
    return `${text}]`;
  }
  const names = keys(value);
  let text = "{";
  for (let i = 0; i < names.length && text.length <= room; i++) {
    text += `${i === 0 ? "" : ","}${beginningOf(names[i], room - text.length)}:`;
    text += beginningOf(value[names[i]], room - text.length);
  }
  return `${text}}`;
};
