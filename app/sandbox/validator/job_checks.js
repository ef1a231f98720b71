// Validate the inputs and outputs of one job, by schemas that the cell gives as one text.

import { boundedErrors } from "./bounds.js";
import { compile } from "./index.js";
import { tokensOf } from "./pointers.js";
import {
  append, defineProperty, hasOwn, indexOf, newDictionary, newPlainList, parseJson, slice,
} from "./primordials.js";

// The first line of the text is JSON: the `documents` as pairs of a URI and the length of its text;
// the URIs that are `strict`; the `inputs`, each a URI or a choice `{by, uris}`, and the URIs of
// `outputs`, all of which decide; and `excerpts`. The texts of the documents follow.
//
// `input` takes a value that JSON.parse returned, `output` the JSON that was written. Both return
// null, or why it is refused.
export const openChecks = (text) => {
  const end = indexOf(text, "\n");
  const job = parseJson(slice(text, 0, end));
  const { documents, excerpts } = job;
  const strict = newDictionary();
  for (let i = 0; i < job.strict.length; i++) strict[job.strict[i]] = true;
  const options = {
    registry: registryOf(text, end + 1, documents), strict, formats: true, trusted: true,
  };
  const validators = newDictionary();

  const judge = (side, schema, value) => {
    let validate = validators[schema];
    if (validate === undefined) {
      validate = validators[schema] = usable(schema, options);
    }
    const errors = validate(value, excerpts);
    return errors.length === 0 ? null
      : { __proto__: null, kind: "schema_mismatch", side, schema, ...boundedErrors(errors) };
  };

  const { inputs, outputs } = job;
  const choosers = newPlainList();
  for (let i = 0; i < inputs.length; i++) {
    append(choosers, typeof inputs[i] === "object" ? chooser(inputs[i]) : () => inputs[i]);
  }
  return {
    __proto__: null,
    input: (value) => {
      let refused = null;
      for (let i = 0; i < choosers.length && refused === null; i++) {
        const chosen = choosers[i](value);
        refused = typeof chosen === "string" ? judge("input", chosen, value) : chosen;
      }
      return refused;
    },
    output: (written) => {
      if (outputs.length === 0) return null;
      const value = parseJson(written);
      let refused = null;
      for (let i = 0; i < outputs.length && refused === null; i++) {
        refused = judge("output", outputs[i], value);
      }
      return refused;
    },
  };
};

// Schemas are parsed when they are first needed: a job may have a thousand to choose from.
const registryOf = (text, start, documents) => {
  const registry = newDictionary();
  let at = start;
  for (let i = 0; i < documents.length; i++) {
    const from = at, to = at + documents[i][1];
    let schema;
    const get = () => {
      if (schema === undefined) schema = parseJson(slice(text, from, to));
      return schema;
    };
    defineProperty(registry, documents[i][0], { __proto__: null, get, enumerable: true });
    at = to;
  }
  return registry;
};

// A schema has been checked before it was registered. If it fails nevertheless, each document that
// it should decide about has an error that says so.
const usable = (uri, options) => {
  let validate;
  try {
    validate = compile(options.registry[uri], { ...options, uri });
  } catch (thrown) {
    const errors = undecided(`cannot be validated, as its schema cannot be used: ${reasonOf(thrown)}`);
    return () => errors;
  }
  return (value, excerpts) => {
    try {
      return validate(value, excerpts);
    } catch (thrown) {
      return undecided(`cannot be validated: ${reasonOf(thrown)}`);
    }
  };
};

const undecided = (message) => {
  const errors = newPlainList();
  append(errors, { __proto__: null, pointer: "", keyword: null, schema_pointer: null, message });
  return errors;
};

// Thrown by `compile`, or by V8, for example about a regular expression that it cannot run.
const reasonOf = (thrown) => {
  if (hasOwn(thrown, "errors")) {
    const { pointer, message } = thrown.errors[0];
    return `${pointer}: ${message}`;
  }
  return hasOwn(thrown, "message") ? thrown.message : "for an unknown reason";
};

const MAX_VALUES = 300;
const chooser = ({ by, uris }) => {
  const paths = newPlainList();
  for (let i = 0; i < by.length; i++) append(paths, by[i] === "" ? newPlainList() : tokensOf(by[i]));
  return (value) => {
    let values = "";
    let ambiguous = false;
    for (let i = 0; i < paths.length; i++) {
      const found = valueAt(value, paths[i]);
      if (typeof found !== "string") return unknown(values, by[i]);
      if (indexOf(found, "/") >= 0) ambiguous = true;
      values += i === 0 ? found : `/${found}`;
    }
    return !ambiguous && hasOwn(uris, values) ? uris[values] : unknown(values, null);
  };
};

const valueAt = (value, path) => {
  let at = value;
  for (let i = 0; i < path.length; i++) {
    if (typeof at !== "object" || at === null || !hasOwn(at, path[i])) return undefined;
    at = at[path[i]];
  }
  return at;
};

const unknown = (values, pointer) => ({
  __proto__: null, kind: "unknown_schema",
  values: values.length > MAX_VALUES ? `${slice(values, 0, MAX_VALUES - 1)}…` : values, pointer,
});
