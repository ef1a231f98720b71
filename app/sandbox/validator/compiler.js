// Compile schemas to closures: `test(value, at, run, seen)` returns whether a value is valid.
//
// `at` is the value's place in the document, null unless errors are collected; `seen` takes
// annotations, null unless a schema around needs them. A strict schema closes its objects in one of
// two ways. Where only one schema describes a location, it refuses the fields that it does not
// register. Where several may, all of them annotate a tree, which is compared with the value last.

import { newSeen, merge } from "./annotations.js";
import { newNode } from "./cycles.js";
import { locationOf } from "./documents.js";
import { fail } from "./errors.js";
import { KEYWORDS } from "./keywords.js";
import { newChecks } from "./nodes.js";
import { append, hasOwn, isArray, keys, mapGet, mapSet } from "./primordials.js";
import { describe, refuseUnregistered } from "./strictness.js";

// The node of a place: what runs is in `test`, so that cyclic references can be compiled.
// `closed`: its objects refuse unregistered fields. `keyword` holds the schema, for `false`.
export const nodeOf = (program, place, closed, keyword) => {
  const { schema, resource } = place;
  if (schema === true) return VALID;
  if (schema === false) return { __proto__: null, test: refusing(place, keyword) };
  const cache = closed ? program.closed : program.open;
  const known = mapGet(cache, schema);
  if (known !== undefined) return known;
  const node = newNode();
  mapSet(cache, schema, node);
  append(program.nodes, node);
  if (program.entered[resource.uri] !== true) {
    program.entered[resource.uri] = true;
    append(program.resources, resource);
  }
  node.test = build(program, node, place, closed);
  return node;
};

const VALID = { __proto__: null, test: () => true };

const refusing = (place, keyword) => {
  const where = { keyword, pointer: locationOf(place) };
  return (value, at, run) => fail(run, at, where, "is not allowed", value);
};

const IN_PLACE = [
  "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies",
];
const DESCRIBING = [
  "type", "properties", "patternProperties", "additionalProperties", "unevaluatedProperties",
];
const OF_ITEMS = ["items", "prefixItems", "contains", "unevaluatedItems"];

const build = (program, node, place, closed) => {
  const { schema, resource } = place;
  const { keywords, draft } = resource.dialect;
  const alone = draft === 7 && hasOwn(schema, "$ref"); // its siblings are ignored
  const has = (name) =>
    (!alone || name === "$ref") && keywords[name] === true && hasOwn(schema, name);
  // Whether the reference alone describes what is here and below.
  const passes = has("$ref")
    && !hasAny(has, IN_PLACE) && !hasAny(has, DESCRIBING) && !hasAny(has, OF_ITEMS);
  const evaluates = has("unevaluatedProperties") || has("unevaluatedItems");
  const tree = closed && !passes && (evaluates || mayMeet(schema, has));
  const context = {
    program, node, place, schema, has, passes, closed: closed && !tree,
    annotatesDeeply: program.strict && (tree || !closed),
    checks: newChecks(), late: newChecks(),
  };
  for (let i = 0; i < KEYWORDS.length; i++) {
    const { name, compile } = KEYWORDS[i];
    if (name === null) compile(context);
    else if (has(name)) compile(context, schema[name]);
  }
  if (context.annotatesDeeply) describe(context);
  let test = byType(context.checks);
  if (evaluates) test = withOwnAnnotations(test, byType(context.late));
  return tree ? refuseUnregistered(test) : test;
};

const hasAny = (has, names) => {
  for (let i = 0; i < names.length; i++) if (has(names[i])) return true;
  return false;
};

// Whether two schemas may describe the same object here, or the same member or item of it.
const mayMeet = (schema, has) => {
  if (has("$ref") || hasAny(has, IN_PLACE) || has("contains")) return true;
  if (!has("patternProperties")) return false;
  return has("properties") || keys(schema.patternProperties).length > 1;
};

const byType = (checks) => {
  const number = all(checks.number);
  const string = all(checks.string);
  const array = all(checks.array);
  const object = all(checks.object);
  const other = all(checks.other);
  return (value, at, run, seen) => {
    switch (typeof value) {
      case "string": return string(value, at, run, seen);
      case "number": return number(value, at, run, seen);
      case "object":
        if (value === null) return other(value, at, run, seen);
        return isArray(value) ? array(value, at, run, seen) : object(value, at, run, seen);
      default: return other(value, at, run, seen);
    }
  };
};

const all = (tests) => {
  if (tests.length === 0) return VALID.test;
  if (tests.length === 1) return tests[0];
  return (value, at, run, seen) => {
    let ok = true;
    for (let i = 0; i < tests.length; i++) {
      if (tests[i](value, at, run, seen)) continue;
      ok = false;
      if (!run.collect) return false;
    }
    return ok;
  };
};

// `late` checks see what the schema itself has evaluated, and nothing of its cousins.
const withOwnAnnotations = (test, late) => (value, at, run, seen) => {
  if (typeof value !== "object" || value === null) return test(value, at, run, null);
  const own = newSeen();
  let ok = test(value, at, run, own);
  if (!ok && !run.collect) return false;
  if (!late(value, at, run, own)) ok = false;
  if (seen !== null) merge(seen, own);
  return ok;
};
