// Compile the keywords that apply other schemas to the same value.

import { forgetDescriptions, merge, newSeen } from "./annotations.js";
import { explain, fail, quietly } from "./errors.js";
import { add, inPlaceNode, inPlaceNodes, whereOf } from "./nodes.js";
import { hasOwn } from "./primordials.js";

export const compileAllOf = (context) => {
  const nodes = inPlaceNodes(context, "allOf");
  for (let i = 0; i < nodes.length; i++) {
    add(context, "any", (value, at, run, seen) => nodes[i].test(value, at, run, seen));
  }
};

export const compileAnyOf = (context) => {
  const nodes = inPlaceNodes(context, "anyOf");
  const where = whereOf(context, "anyOf");
  const message = `matches none of ${nodes.length} schemas`;
  add(context, "any", (value, at, run, seen) => {
    let matched = false;
    for (let i = 0; i < nodes.length; i++) {
      const own = seen === null ? null : newSeen();
      if (!quietly(run, nodes[i], value, own)) continue;
      if (seen === null) return true;
      matched = true;
      merge(seen, own);
    }
    return matched || failAlternatives(run, at, where, message, value, nodes, seen);
  });
};

export const compileOneOf = (context) => {
  const nodes = inPlaceNodes(context, "oneOf");
  const where = whereOf(context, "oneOf");
  const none = `matches none of ${nodes.length} schemas`;
  add(context, "any", (value, at, run, seen) => {
    let matched = -1;
    for (let i = 0; i < nodes.length; i++) {
      const own = seen === null ? null : newSeen();
      if (!quietly(run, nodes[i], value, own)) continue;
      if (matched >= 0) {
        if (seen !== null) ignoreRest(seen);
        return fail(run, at, where, `matches several schemas: ${matched} and ${i}`, value);
      }
      matched = i;
      if (seen !== null) merge(seen, own);
    }
    return matched >= 0 || failAlternatives(run, at, where, none, value, nodes, seen);
  });
};

const failAlternatives = (run, at, where, message, value, nodes, seen) => {
  if (!run.collect) return false;
  fail(run, at, where, message, value);
  if (nodes.length > 1) explain(run, nodes, value, at);
  if (seen !== null) ignoreRest(seen);
  return false;
};

// Which fields a failed alternative would have evaluated is unknown.
const ignoreRest = (seen) => {
  seen.all = true;
  seen.allItems = true;
};

export const compileNot = (context, schema) => {
  const node = inPlaceNode(context, schema, "not");
  const where = whereOf(context, "not");
  add(context, "any", (value, at, run) =>
    !quietly(run, node, value, null)
    || fail(run, at, where, "matches a schema that it must not match", value));
};

export const compileIf = (context, schema) => {
  const node = inPlaceNode(context, schema, "if");
  const branch = (keyword) => (hasOwn(context.schema, keyword)
    ? inPlaceNode(context, context.schema[keyword], keyword) : null);
  const whenTrue = branch("then");
  const whenFalse = branch("else");
  add(context, "any", (value, at, run, seen) => {
    const own = seen === null ? null : newSeen();
    const holds = quietly(run, node, value, own);
    if (holds && own !== null) {
      forgetDescriptions(own);
      merge(seen, own);
    }
    const next = holds ? whenTrue : whenFalse;
    return next === null || next.test(value, at, run, seen);
  });
};
