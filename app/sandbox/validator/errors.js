// Collect the errors of a document, and those of a schema.

import { excerptOf } from "./json_values.js";
import { pointerOf } from "./pointers.js";
import { append, newPlainList } from "./primordials.js";

export const MAX_ERRORS = 100;

// The state of one pass over a document. The first pass only decides; the second one, over an
// invalid document, collects `errors`. `scope` is the chain of resources entered, for
// `$dynamicRef`. `explains`: the errors of alternatives are of interest.
export const newRun = (scope) =>
  ({ collect: false, explains: false, excerpts: false, errors: null, depth: 0, scope });

export const newCollectingRun = (scope, excerpts) =>
  ({ collect: true, explains: true, excerpts, errors: newPlainList(), depth: 0, scope });

// `where` is a keyword and its place in the schema. Returns false, the verdict.
export const fail = (run, at, where, message, value) => {
  if (run.collect) report(run, at, where, message, value);
  return false;
};

const report = (run, at, where, message, value) => {
  const error = {
    __proto__: null,
    pointer: pointerOf(at), keyword: where.keyword, schema_pointer: where.pointer, message,
  };
  if (run.excerpts) error.value = excerptOf(value);
  append(run.errors, error);
  if (run.errors.length === MAX_ERRORS) run.collect = false;
};

// Evaluates a schema whose failure is no error by itself.
export const quietly = (run, node, value, seen) => {
  const { collect } = run;
  run.collect = false;
  const ok = node.test(value, null, run, seen);
  run.collect = collect;
  return ok;
};

// Thrown by `compile` for a schema that cannot be used; its errors have the form of a document's.
export class SchemaError {
  errors;
  constructor(errors) {
    this.errors = errors;
  }
}

// Adds the errors of the one alternative that may have been meant: all others refuse the value at
// once, by its type or by a constant. The search explains nothing inside: with alternatives within
// alternatives, it would take a time of its own at each of them.
const TELLING = { __proto__: null, type: true, const: true, enum: true };
export const explain = (run, nodes, value, at) => {
  if (!run.collect || !run.explains) return;
  const here = pointerOf(at);
  let meant = null;
  for (let i = 0; i < nodes.length; i++) {
    const own = newCollectingRun(run.scope, false);
    own.depth = run.depth;
    own.explains = false;
    nodes[i].test(value, at, own, null);
    if (refusesAtOnce(own.errors, here)) continue;
    if (meant !== null) return;
    meant = nodes[i];
  }
  if (meant !== null) meant.test(value, at, run, null);
};

const refusesAtOnce = (errors, here) => {
  for (let i = 0; i < errors.length; i++) {
    if (errors[i].pointer === here && TELLING[errors[i].keyword] === true) return true;
  }
  return false;
};
