// Compile the keywords of types, values, numbers and strings.

import { multiplesOf } from "./decimals.js";
import { fail } from "./errors.js";
import { canonical, hasValue, addValue, newValueSet, typeOf, excerptOf } from "./json_values.js";
import { add, whereOf } from "./nodes.js";
import { compilePattern } from "./patterns.js";
import { charCodeAt, isArray, matches } from "./primordials.js";

// ---- any value

const BITS = { __proto__: null, null: 1, boolean: 2, number: 4, string: 8, array: 16, object: 32 };

export const compileType = (context, type) => {
  const names = isArray(type) ? type : [type];
  const where = whereOf(context, "type");
  let allowed = 0;
  let integer = false;
  let expected = "";
  for (let i = 0; i < names.length; i++) {
    if (names[i] === "integer") integer = true;
    else allowed |= BITS[names[i]];
    expected += (i === 0 ? "" : i === names.length - 1 ? " or " : ", ") + names[i];
  }
  const refuse = (value, at, run) =>
    fail(run, at, where, run.collect ? `is ${kindOf(value)}, not ${expected}` : "", value);
  const pass = null;
  const accept = (name) => ((allowed & BITS[name]) === 0 ? refuse : pass);
  if (accept("string") !== pass) add(context, "string", refuse);
  if (accept("array") !== pass) add(context, "array", refuse);
  if (accept("object") !== pass) add(context, "object", refuse);
  if (accept("number") !== pass) {
    add(context, "number", integer
      ? (value, at, run) => value % 1 === 0 || refuse(value, at, run)
      : refuse);
  }
  if (accept("null") === pass && accept("boolean") === pass) return;
  const onNull = accept("null") === pass;
  const onBoolean = accept("boolean") === pass;
  add(context, "other", (value, at, run) =>
    (value === null ? onNull : onBoolean) || refuse(value, at, run));
};

const kindOf = (value) => {
  const type = typeOf(value);
  return type === "number" && value % 1 === 0 ? "integer" : type;
};

const MAX_SHOWN = 5;
export const compileEnum = (context, values) => {
  const where = whereOf(context, "enum");
  const set = newValueSet();
  let shown = "";
  for (let i = 0; i < values.length; i++) {
    addValue(set, values[i]);
    if (i < MAX_SHOWN) shown += (i === 0 ? "" : ", ") + excerptOf(values[i]);
  }
  const message = `is none of ${shown}${values.length > MAX_SHOWN ? ", …" : ""}`;
  add(context, "any", (value, at, run) =>
    hasValue(set, value) || fail(run, at, where, message, value));
};

export const compileConst = (context, expected) => {
  const where = whereOf(context, "const");
  const message = `is not ${excerptOf(expected)}`;
  const simple = typeof expected !== "object" || expected === null;
  const text = simple ? "" : canonical(expected);
  add(context, "any", (value, at, run) => {
    const equal = simple
      ? value === expected
      : typeof value === "object" && value !== null && canonical(value) === text;
    return equal || fail(run, at, where, message, value);
  });
};

// ---- numbers

export const compileBound = (keyword, refuses, words) => (context, bound) => {
  const where = whereOf(context, keyword);
  const message = `is ${words} ${bound}`;
  add(context, "number", (value, at, run) =>
    !refuses(value, bound) || fail(run, at, where, message, value));
};

export const compileMultipleOf = (context, divisor) => {
  const where = whereOf(context, "multipleOf");
  const isMultiple = multiplesOf(divisor);
  const message = `is not a multiple of ${divisor}`;
  add(context, "number", (value, at, run) =>
    isMultiple(value) || fail(run, at, where, message, value));
};

// ---- strings

// Counted in code points: pairs of surrogates are one.
const lengthOf = (text) => {
  let length = text.length;
  for (let i = 0; i + 1 < text.length; i++) {
    if ((charCodeAt(text, i) & 0xfc00) !== 0xd800) continue;
    if ((charCodeAt(text, i + 1) & 0xfc00) !== 0xdc00) continue;
    length--;
    i++;
  }
  return length;
};

export const compileMinLength = (context, min) => {
  const where = whereOf(context, "minLength");
  const message = `has fewer than ${min} characters`;
  add(context, "string", (value, at, run) =>
    (value.length >= min && (value.length >= 2 * min || lengthOf(value) >= min))
    || fail(run, at, where, message, value));
};

export const compileMaxLength = (context, max) => {
  const where = whereOf(context, "maxLength");
  const message = `has more than ${max} characters`;
  add(context, "string", (value, at, run) =>
    value.length <= max || (value.length <= 2 * max && lengthOf(value) <= max)
    || fail(run, at, where, message, value));
};

export const compilePatternKeyword = (context, source) => {
  const pattern = compilePattern(context, source, "pattern");
  if (pattern === null) return;
  const where = whereOf(context, "pattern");
  const message = `does not match ${source}`;
  add(context, "string", (value, at, run) =>
    matches(pattern, value) !== null || fail(run, at, where, message, value));
};
