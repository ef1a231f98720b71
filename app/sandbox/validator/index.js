// Compile a schema to a function that returns the errors of a document.

import { nodeOf } from "./compiler.js";
import { refuseEndless } from "./cycles.js";
import { addDocument, locationOf, newLibrary } from "./documents.js";
import { MAX_ERRORS, newCollectingRun, newRun, SchemaError } from "./errors.js";
import {
  append, freeze, getPrototypeOf, hasOwn, keys, newDictionary, newMap, newPlainList,
  RangeErrorPrototype,
} from "./primordials.js";
import { compileDynamicTargets, MAX_DEPTH, TOO_DEEP } from "./references.js";

const TOO_DEEP_TEXT = `is nested too deeply, or its schema refers to itself more than ${MAX_DEPTH} times`;

// The options, all of which are optional: the `uri` of the schema, a `registry` of schemas by URI,
// `strict` (for all of them, or an object whose members are the URIs of those that are), `formats`
// (whether `format` asserts), the `dialect` of schemas without `$schema`, and `trusted`: all these
// schemas have passed the check against their meta-schemas before, which takes most of the time in
// a new context. Throws SchemaError. Schemas and documents come from JSON.parse.
export const compile = (schema, options) => {
  return compileWith(schema, { ...DEFAULTS, ...options });
};

const DEFAULTS = {
  uri: "", registry: null, strict: false, formats: false, dialect: null, trusted: false,
};

// The meta-schemas, by URI; they are made when they are first needed, which is rare.
let metaschemas = null, makeMetaschemas = null;
export const setMetaschemas = (make) => {
  makeMetaschemas = make;
};
const allMetaschemas = () => {
  if (metaschemas === null) metaschemas = makeMetaschemas();
  return metaschemas;
};

const compileWith = (schema, options, isMain = true) => {
  const problems = newPlainList();
  const program = newProgram(options, problems);
  let root = null;
  try {
    const place = addDocument(program.library, options.uri, schema, isMain);
    if (problems.length === 0) {
      const node = program.nodeOf(place, program.strict, "$schema");
      root = { node, scope: { resource: place.resource, up: null } };
      compileDynamicTargets(program);
      refuseEndless(program);
    }
  } catch (thrown) {
    if (!isOverflow(thrown)) throw thrown;
    append(problems, newProblem("", null, TOO_DEEP_TEXT));
  }
  if (problems.length > 0) throw new SchemaError(problems);
  return (document, excerpts = false) => validate(root, document, excerpts);
};

const newProblem = (pointer, keyword, message) =>
  ({ __proto__: null, pointer, keyword, schema_pointer: null, message });

const newProgram = (options, problems) => {
  const problem = (place, keyword, message) => {
    if (problems.length === MAX_ERRORS) return;
    append(problems, newProblem(`${locationOf(place)}/${keyword}`, keyword, message));
  };
  const check = options.trusted ? null : (dialect, schema, document, pointer = "") => {
    const errors = metaValidator(dialect.uri)(schema);
    for (let i = 0; i < errors.length && problems.length < MAX_ERRORS; i++) {
      const error = errors[i];
      error.pointer = locationOf({ document, pointer: pointer + error.pointer });
      append(problems, error);
    }
    if (errors.length > 0) throw new SchemaError(problems);
  };
  const registry = options.registry === null ? newDictionary() : options.registry;
  const strictness = strictnessOf(options.strict);
  const program = {
    library: newLibrary({
      registry, metaschemas: allMetaschemas, dialect: options.dialect, problem, check,
    }),
    problem, trusted: options.trusted, strict: strictness.any, isStrict: strictness.isStrict, formats: options.formats,
    open: newMap(), closed: newMap(), nodes: [],
    entered: newDictionary(), resources: [], dynamicRefs: [],
    nodeOf: (place, closed, keyword) => nodeOf(program, place, closed, keyword),
  };
  return program;
};

// Whether any schema is strict, and whether one that is registered under a URI is.
const strictnessOf = (strict) => {
  if (typeof strict === "boolean") return { any: strict, isStrict: () => strict };
  return { any: keys(strict).length > 0, isStrict: (uri) => hasOwn(strict, uri) };
};

const metaValidators = newDictionary();
const metaValidator = (uri) => {
  if (metaValidators[uri] === undefined) {
    metaValidators[uri] = compileWith(allMetaschemas()[uri], { ...DEFAULTS, uri, trusted: true }, false);
  }
  return metaValidators[uri];
};

// ---- documents

const NO_ERRORS = freeze(newPlainList());

const validate = ({ node, scope }, document, excerpts) => {
  let errors = null;
  try {
    if (node.test(document, null, newRun(scope), null)) return NO_ERRORS;
    const run = newCollectingRun(scope, excerpts);
    errors = run.errors;
    node.test(document, null, run, null);
    // The verdict stands, whatever the second pass has found.
    if (errors.length === 0) append(errors, newProblem("", null, "is invalid for no reason that was found"));
  } catch (thrown) {
    if (!isOverflow(thrown)) throw thrown;
    if (errors === null) errors = newPlainList();
    append(errors, newProblem("", null, TOO_DEEP_TEXT));
  }
  return errors;
};

// A RangeError is V8's: its stack, or a text longer than V8 can hold.
const isOverflow = (thrown) =>
  thrown === TOO_DEEP
  || (typeof thrown === "object" && thrown !== null && getPrototypeOf(thrown) === RangeErrorPrototype);
