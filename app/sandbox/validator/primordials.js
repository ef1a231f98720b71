// Capture the intrinsics that the validator uses, before user code can replace them.
//
// Nothing that user code can replace may be used after this file ran: no methods by name on strings
// or arrays, no iteration, no spread, no assignment to a new index of a list, no property that an
// object might inherit. Object literals declare every property that is read later; dictionaries
// inherit nothing.

const uncurry = (method) => Function.prototype.call.bind(method);

export const { isArray } = Array;
export const { freeze, hasOwn, keys } = Object;
export const { defineProperty, getPrototypeOf, setPrototypeOf } = Reflect;
export const { parse: parseJson, stringify } = JSON;
export const { isSafeInteger } = Number;
export const toText = String;
export const toNumber = Number;
export const toBigInt = BigInt;
export const decodeComponent = decodeURIComponent;
export const RangeErrorPrototype = RangeError.prototype;
export const Pattern = RegExp;

export const charCodeAt = uncurry(String.prototype.charCodeAt);
export const indexOf = uncurry(String.prototype.indexOf);
export const lastIndexOf = uncurry(String.prototype.lastIndexOf);
export const slice = uncurry(String.prototype.slice);
export const matches = uncurry(RegExp.prototype.exec);
export const sort = uncurry(Array.prototype.sort);

export const newMap = () => new CapturedMap();
const CapturedMap = Map;
export const mapGet = uncurry(Map.prototype.get);
export const mapSet = uncurry(Map.prototype.set);

export const newSet = () => new CapturedSet();
const CapturedSet = Set;
export const setHas = uncurry(Set.prototype.has);
export const setAdd = uncurry(Set.prototype.add);

export const newDictionary = () => ({ __proto__: null });

// No setter of user code sees the new element.
export const append = (list, value) => {
  defineProperty(list, list.length, {
    __proto__: null, value, writable: true, enumerable: true, configurable: true,
  });
};

// A list for others: JSON.stringify finds no `toJSON` on it.
export const newPlainList = () => {
  const list = [];
  setPrototypeOf(list, null);
  return list;
};

export const isObject = (value) => typeof value === "object" && value !== null && !isArray(value);

export const startsWith = (text, start) => slice(text, 0, start.length) === start;
