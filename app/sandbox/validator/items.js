// Compile the keywords of arrays.

import { markMatched, merge, newSeen, within } from "./annotations.js";
import { fail, quietly } from "./errors.js";
import { addValue, newValueSet } from "./json_values.js";
import { add, addLate, below, childNode, whereOf } from "./nodes.js";
import { append, hasOwn, isArray } from "./primordials.js";

const nodesIn = (context, keyword) => {
  const schemas = context.schema[keyword];
  const nodes = [];
  for (let i = 0; i < schemas.length; i++) {
    append(nodes, childNode(context, schemas[i], keyword, i));
  }
  return nodes;
};

// Tests the first items one by one, then all others with `rest`, if it is not null.
const addItems = (context, first, rest) => {
  const { annotatesDeeply } = context;
  const collectOrAnnotate = (value, at, run, seen) => {
    let ok = true;
    const count = rest === null && first.length < value.length ? first.length : value.length;
    for (let i = 0; i < count; i++) {
      const node = i < first.length ? first[i] : rest;
      const inner = annotatesDeeply && seen !== null ? within(seen, i) : null;
      if (node.test(value[i], below(run, at, i), run, inner)) continue;
      ok = false;
      if (!run.collect) return false;
    }
    if (seen !== null) {
      if (rest !== null) seen.allItems = true;
      else if (count > seen.count) seen.count = count;
    }
    return ok;
  };
  add(context, "array", first.length > 0 || rest === null
    ? collectOrAnnotate
    : (value, at, run, seen) => (run.collect || seen !== null
      ? collectOrAnnotate(value, at, run, seen) : areValid(value, run, rest)));
};

const areValid = (items, run, node) => {
  for (let i = 0; i < items.length; i++) {
    if (!node.test(items[i], null, run, null)) return false;
  }
  return true;
};

export const compileItems = (context, schema) => {
  if (isArray(schema)) { // of draft 7
    const rest = hasOwn(context.schema, "additionalItems")
      ? childNode(context, context.schema.additionalItems, "additionalItems") : null;
    addItems(context, nodesIn(context, "items"), rest);
    return;
  }
  const first = context.has("prefixItems") ? nodesIn(context, "prefixItems") : [];
  addItems(context, first, childNode(context, schema, "items"));
};

export const compilePrefixItems = (context) => {
  if (!context.has("items")) addItems(context, nodesIn(context, "prefixItems"), null);
};

export const compileContains = (context, schema) => {
  const node = childNode(context, schema, "contains");
  const min = context.has("minContains") ? context.schema.minContains : 1;
  const max = context.has("maxContains") ? context.schema.maxContains : Infinity;
  const few = whereOf(context, min === 1 ? "contains" : "minContains");
  const many = whereOf(context, "maxContains");
  const { annotatesDeeply } = context;
  add(context, "array", (value, at, run, seen) => {
    let found = 0;
    for (let i = 0; i < value.length; i++) {
      const inner = annotatesDeeply && seen !== null ? newSeen() : null;
      if (!quietly(run, node, value[i], inner)) continue;
      found++;
      if (seen === null) {
        if (max === Infinity && found >= min) return true;
        continue;
      }
      markMatched(seen, i);
      if (inner !== null) merge(within(seen, i), inner);
    }
    if (found < min) {
      const message = `has ${found} items that match \`contains\`, fewer than ${min}`;
      return fail(run, at, few, message, value);
    }
    if (found <= max) return true;
    return fail(run, at, many, `has ${found} items that match \`contains\`, more than ${max}`, value);
  });
};

export const compileItemCount = (keyword, refuses, words) => (context, limit) => {
  const where = whereOf(context, keyword);
  const message = `has ${words} than ${limit} items`;
  add(context, "array", (value, at, run) =>
    !refuses(value.length, limit) || fail(run, at, where, message, value));
};

export const compileUniqueItems = (context, unique) => {
  if (!unique) return;
  const where = whereOf(context, "uniqueItems");
  add(context, "array", (value, at, run) => {
    if (value.length < 2) return true;
    const items = newValueSet();
    for (let i = 0; i < value.length; i++) {
      if (addValue(items, value[i])) continue;
      return fail(run, at, where, `has item ${i} twice`, value);
    }
    return true;
  });
};

export const compileUnevaluatedItems = (context, schema) => {
  const node = childNode(context, schema, "unevaluatedItems");
  const { annotatesDeeply } = context;
  addLate(context, "array", (value, at, run, seen) => {
    if (seen.allItems) return true;
    let ok = true;
    for (let i = seen.count; i < value.length; i++) {
      if (seen.matched !== null && seen.matched[i] === true) continue;
      const inner = annotatesDeeply ? within(seen, i) : null;
      if (node.test(value[i], below(run, at, i), run, inner)) continue;
      ok = false;
      if (!run.collect) return false;
    }
    seen.allItems = true;
    return ok;
  });
};
