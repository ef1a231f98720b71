// Index schemas by their identifiers, and resolve references among those that are registered.
//
// A document is what was registered under one URI. A resource is a document, or a part of it with
// an `$id` of its own. A place is a schema, its resource, and its JSON pointer in the document.

import {
  DEPENDENCIES, DRAFT_2020, LIST, MAP, ONE_OR_LIST, STANDARD_DIALECTS, withVocabularies,
} from "./dialects.js";
import { escapeToken, tokensOf } from "./pointers.js";
import {
  decodeComponent, hasOwn, indexOf, isArray, isObject, keys, mapGet, mapSet, newDictionary, newMap,
  startsWith,
} from "./primordials.js";
import { resolveUri, splitFragment } from "./uris.js";

export const newLibrary = ({ registry, metaschemas, dialect, problem, check }) => ({
  registry, metaschemas, problem, check,
  defaultDialect: STANDARD_DIALECTS[dialect === null ? DRAFT_2020 : dialect],
  resources: newDictionary(), places: newMap(),
});

const own = (object, name) => (hasOwn(object, name) ? object[name] : undefined);

// Indexes a document and returns the place of its root.
export const addDocument = (library, uri, schema, isMain) => {
  const document = { uri, isMain };
  const dialect = dialectAt(library, schema, library.defaultDialect, { document, pointer: "" });
  if (library.check !== null) library.check(dialect, schema, document);
  const resource = newResource(uri, document, dialect);
  library.resources[uri] = resource;
  const root = scan(library, schema, "", resource);
  resource.root = root;
  return root;
};

const newResource = (uri, document, dialect) => ({
  uri, document, dialect, root: null, anchors: newDictionary(), dynamicAnchors: newDictionary(),
});

const newPlace = (schema, resource, pointer) =>
  ({ schema, resource, document: resource.document, pointer });

// The place as errors show it: a pointer, after the URI of a document that is not the main one.
export const locationOf = ({ document, pointer }) =>
  (document.isMain ? pointer : `${document.uri}#${pointer}`);

const dialectAt = (library, schema, inherited, place) => {
  const uri = isObject(schema) ? own(schema, "$schema") : undefined;
  if (typeof uri !== "string") return inherited;
  const known = dialectNamed(library, uri, 0);
  if (typeof known === "object") return known;
  library.problem(place, "$schema", known);
  return inherited;
};

const MAX_METASCHEMAS = 10;
const dialectNamed = (library, name, depth) => {
  const { uri } = splitFragment(name);
  if (STANDARD_DIALECTS[uri] !== undefined) return STANDARD_DIALECTS[uri];
  const metaschema = own(library.registry, uri);
  if (!isObject(metaschema) || depth === MAX_METASCHEMAS) {
    return `${name} is neither draft 2020-12 nor draft 7, nor a registered schema`;
  }
  const vocabularies = own(metaschema, "$vocabulary");
  if (!isObject(vocabularies)) {
    const above = own(metaschema, "$schema");
    if (typeof above === "string") return dialectNamed(library, above, depth + 1);
    return STANDARD_DIALECTS[DRAFT_2020];
  }
  const found = withVocabularies(keys(vocabularies), vocabularies);
  return typeof found === "string" ? `${name} requires the unknown vocabulary ${found}` : found;
};

const scan = (library, schema, pointer, outer) => {
  let resource = outer;
  if (isObject(schema)) {
    resource = identify(library, schema, pointer, outer);
    const place = newPlace(schema, resource, pointer);
    mapSet(library.places, schema, place);
    if (resource.root === null) resource.root = place;
    name(library, schema, place);
    scanInside(library, schema, pointer, resource);
    return place;
  }
  return newPlace(schema, resource, pointer);
};

// The resource that a schema belongs to: a new one if it has an `$id`.
const identify = (library, schema, pointer, outer) => {
  const id = own(schema, "$id");
  const place = { document: outer.document, pointer };
  const hidden = outer.dialect.draft === 7 && hasOwn(schema, "$ref");
  if (typeof id !== "string" || hidden || startsWith(id, "#")) return outer;
  const { uri } = splitFragment(resolveUri(outer.uri, id));
  if (uri !== outer.document.uri && isReserved(library, uri)) {
    library.problem(place, "$id", `${uri} is the place of another schema`);
    return outer;
  }
  if (pointer === "") {
    // The document is also known by the URI under which it is registered.
    if (library.resources[uri] === undefined) library.resources[uri] = outer;
    else if (library.resources[uri] !== outer) library.problem(place, "$id", `${uri} exists twice`);
    outer.uri = uri;
    return outer;
  }
  const known = library.resources[uri];
  if (known !== undefined) {
    library.problem(place, "$id", `${uri} exists twice`);
    return outer;
  }
  const dialect = dialectAt(library, schema, outer.dialect, place);
  const resource = newResource(uri, outer.document, dialect);
  library.resources[uri] = resource;
  return resource;
};

// Only what is registered there may be found under these URIs: it must not depend on which document
// is indexed first. Those of versions have an "@"; what a relative `$id` resolves to has none.
const REGISTERED = "crivo:/schemas/";
const isReserved = (library, uri) => (startsWith(uri, REGISTERED) && indexOf(uri, "@") >= 0)
  || hasOwn(library.registry, uri) || hasOwn(library.metaschemas(), uri);

const name = (library, schema, place) => {
  const { resource } = place;
  if (resource.dialect.draft === 7) {
    const id = hasOwn(schema, "$ref") ? undefined : own(schema, "$id");
    if (typeof id !== "string") return;
    const { fragment } = splitFragment(id);
    if (fragment !== "") addAnchor(library, resource.anchors, fragment, place, "$id");
    return;
  }
  const anchor = own(schema, "$anchor");
  if (typeof anchor === "string") addAnchor(library, resource.anchors, anchor, place, "$anchor");
  const dynamic = own(schema, "$dynamicAnchor");
  if (typeof dynamic !== "string") return;
  resource.dynamicAnchors[dynamic] = place;
  if (anchor !== dynamic) {
    addAnchor(library, resource.anchors, dynamic, place, "$dynamicAnchor");
  }
};

const addAnchor = (library, anchors, anchor, place, keyword) => {
  if (anchors[anchor] === undefined) anchors[anchor] = place;
  else library.problem(place, keyword, `${anchor} names two schemas`);
};

const scanInside = (library, schema, pointer, resource) => {
  const { holders } = resource.dialect;
  const names = keys(schema);
  for (let i = 0; i < names.length; i++) {
    const holder = holders[names[i]];
    if (holder === undefined) continue;
    const held = schema[names[i]];
    const at = `${pointer}/${escapeToken(names[i])}`;
    if (holder === LIST || (holder === ONE_OR_LIST && isArray(held))) {
      if (isArray(held)) {
        for (let j = 0; j < held.length; j++) scan(library, held[j], `${at}/${j}`, resource);
      }
    } else if (holder === MAP || holder === DEPENDENCIES) {
      if (!isObject(held)) continue;
      const members = keys(held);
      for (let j = 0; j < members.length; j++) {
        scan(library, held[members[j]], `${at}/${escapeToken(members[j])}`, resource);
      }
    } else scan(library, held, at, resource);
  }
};

// ---- references

// The place that a reference of a schema leads to, or a text that says why there is none.
export const resolve = (library, from, reference) => {
  const { uri, fragment } = splitFragment(resolveUri(from.resource.uri, reference));
  const resource = resourceAt(library, uri);
  if (resource === undefined) return `refers to ${uri}, which is not registered`;
  if (fragment === "") return resource.root;
  const target = decode(fragment);
  if (!startsWith(target, "/")) {
    const place = resource.anchors[target];
    return place === undefined ? `finds no anchor ${target} in ${nameOf(resource)}` : place;
  }
  const place = walk(library, resource, tokensOf(target));
  return place === undefined ? `finds nothing at ${target} in ${nameOf(resource)}` : place;
};

const nameOf = ({ uri }) => (uri === "" ? "this schema" : uri);

const resourceAt = (library, uri) => {
  const known = library.resources[uri];
  if (known !== undefined) return known;
  const schema = hasOwn(library.registry, uri)
    ? library.registry[uri] : own(library.metaschemas(), uri);
  if (schema === undefined) return undefined;
  addDocument(library, uri, schema, false);
  return library.resources[uri];
};

const decode = (fragment) => {
  try {
    return decodeComponent(fragment);
  } catch {
    return fragment;
  }
};

// A pointer may lead through keywords that hold no schemas; what is there is indexed then.
const walk = (library, resource, tokens) => {
  let value = resource.root.schema;
  let { pointer } = resource.root;
  let around = resource;
  for (let i = 0; i < tokens.length; i++) {
    if (typeof value !== "object" || value === null || !hasOwn(value, tokens[i])) return undefined;
    if (isArray(value) && tokens[i] === "length") return undefined;
    value = value[tokens[i]];
    pointer += `/${escapeToken(tokens[i])}`;
    const known = isObject(value) ? mapGet(library.places, value) : undefined;
    if (known !== undefined) around = known.resource;
  }
  if (typeof value === "boolean") return newPlace(value, around, pointer);
  if (!isObject(value)) return undefined;
  const known = mapGet(library.places, value);
  if (known !== undefined) return known;
  if (library.check !== null) library.check(around.dialect, value, around.document, pointer);
  return scan(library, value, pointer, around);
};

// The place of a schema inside another one.
export const placeInside = (library, place, schema, tail) => {
  const known = isObject(schema) ? mapGet(library.places, schema) : undefined;
  if (known !== undefined) return known;
  return newPlace(schema, place.resource, place.pointer + tail);
};
