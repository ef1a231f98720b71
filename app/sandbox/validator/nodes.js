// Give the compilers of keywords what they share: checks by type, and nodes of inner schemas.

import { addInPlace } from "./cycles.js";
import { locationOf, placeInside } from "./documents.js";
import { escapeToken } from "./pointers.js";
import { append } from "./primordials.js";

const TYPES = ["number", "string", "array", "object", "other"];

export const newChecks = () => ({ number: [], string: [], array: [], object: [], other: [] });

// Adds a check of values of one type, or of any.
export const add = ({ checks }, type, test) => {
  if (type !== "any") append(checks[type], test);
  else for (let i = 0; i < TYPES.length; i++) append(checks[TYPES[i]], test);
};

// Adds a check that depends on what the other keywords have evaluated.
export const addLate = ({ late }, type, test) => append(late[type], test);

export const whereOf = ({ place }, keyword) =>
  ({ keyword, pointer: `${locationOf(place)}/${keyword}` });

export const problemOf = ({ program, place }, keyword, message) =>
  program.problem(place, keyword, message);

// The schema in a keyword, which evaluates members or items of the value.
export const childNode = (context, schema, keyword, key) =>
  nodeInside(context, schema, keyword, key, { closed: context.closed, inPlace: false });

// The schema in a keyword, which evaluates the same value.
export const inPlaceNode = (context, schema, keyword, key) =>
  nodeInside(context, schema, keyword, key, { closed: false, inPlace: true });

export const inPlaceNodes = (context, keyword) => {
  const schemas = context.schema[keyword];
  const nodes = [];
  for (let i = 0; i < schemas.length; i++) {
    append(nodes, inPlaceNode(context, schemas[i], keyword, i));
  }
  return nodes;
};

const nodeInside = ({ program, node, place }, schema, keyword, key, { closed, inPlace }) => {
  const tail = key === undefined ? `/${keyword}` : `/${keyword}/${escapeToken(key)}`;
  const target = placeInside(program.library, place, schema, tail);
  const inner = program.nodeOf(target, closed, keyword);
  if (inPlace) addInPlace(node, inner, place, keyword);
  return entering(place, target, inner);
};

// Another resource extends the dynamic scope while it is evaluated.
export const entering = (from, to, node) => {
  if (from.resource === to.resource) return node;
  const { resource } = to;
  return {
    __proto__: null,
    test: (value, at, run, seen) => {
      const { scope } = run;
      run.scope = { resource, up: scope };
      const ok = node.test(value, at, run, seen);
      run.scope = scope;
      return ok;
    },
  };
};

// The place of a member or item, which only errors need.
export const below = (run, at, key) => (run.collect ? { up: at, key } : null);
