// Bound what errors take: their texts are those of documents and schemas, of any length.

import { append, newPlainList, slice } from "./primordials.js";

// As in schema_checks.py; together, what fits into a frame whatever the characters are.
const MAX_TEXT = 300, MAX_KEYWORD = 60, MAX_VALUE = 120, MAX_TOGETHER = 64 * 1024;

const shorten = (text, length) =>
  (text === null || text.length <= length ? text : `${slice(text, 0, length - 1)}…`);

const unitsOf = (text) => (text === null ? 0 : text.length);

// Returns the first errors, and how many were left out.
export const boundedErrors = (all) => {
  const errors = newPlainList();
  let left = MAX_TOGETHER;
  for (let i = 0; i < all.length; i++) {
    const error = boundedError(all[i]);
    left -= unitsOf(error.pointer) + unitsOf(error.keyword) + unitsOf(error.schema_pointer)
      + unitsOf(error.message) + (error.value === undefined ? 0 : error.value.length);
    if (left < 0) return { __proto__: null, errors, omitted: all.length - i };
    append(errors, error);
  }
  return { __proto__: null, errors, omitted: 0 };
};

const boundedError = ({ pointer, keyword, schema_pointer, message, value }) => ({
  __proto__: null,
  pointer: shorten(pointer, MAX_TEXT),
  keyword: shorten(keyword, MAX_KEYWORD),
  schema_pointer: shorten(schema_pointer, MAX_TEXT),
  message: shorten(message, MAX_TEXT),
  value: value === undefined ? undefined : shorten(value, MAX_VALUE),
});
