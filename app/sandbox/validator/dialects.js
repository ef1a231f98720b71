// Declare the drafts of JSON Schema: their keywords, and where schemas contain schemas.

import { append, newDictionary } from "./primordials.js";

export const DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema";
export const DRAFT_7 = "http://json-schema.org/draft-07/schema";

// How a keyword's value holds schemas. A dependency is a schema or a list of names.
export const ONE = 1, LIST = 2, MAP = 3, ONE_OR_LIST = 4, DEPENDENCIES = 5;

const HOLDERS_2020 = {
  __proto__: null,
  $defs: MAP, definitions: MAP, dependencies: DEPENDENCIES,
  prefixItems: LIST, items: ONE, contains: ONE, unevaluatedItems: ONE,
  properties: MAP, patternProperties: MAP, additionalProperties: ONE, propertyNames: ONE,
  unevaluatedProperties: ONE, dependentSchemas: MAP,
  allOf: LIST, anyOf: LIST, oneOf: LIST, not: ONE, if: ONE, then: ONE, else: ONE,
  contentSchema: ONE,
};
const HOLDERS_7 = {
  __proto__: null,
  definitions: MAP, dependencies: DEPENDENCIES,
  items: ONE_OR_LIST, additionalItems: ONE, contains: ONE,
  properties: MAP, patternProperties: MAP, additionalProperties: ONE, propertyNames: ONE,
  allOf: LIST, anyOf: LIST, oneOf: LIST, not: ONE, if: ONE, then: ONE, else: ONE,
};

const VALIDATION = [
  "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum",
  "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems",
  "maxProperties", "minProperties", "required", "uniqueItems",
];
const VOCABULARY = "https://json-schema.org/draft/2020-12/vocab/";
const VOCABULARIES = {
  __proto__: null,
  [`${VOCABULARY}core`]: ["$ref", "$dynamicRef"],
  [`${VOCABULARY}validation`]: [...VALIDATION, "minContains", "maxContains", "dependentRequired"],
  [`${VOCABULARY}format-annotation`]: ["format"],
  [`${VOCABULARY}format-assertion`]: ["format"],
  [`${VOCABULARY}applicator`]: [
    "properties", "patternProperties", "additionalProperties", "propertyNames", "prefixItems",
    "items", "contains", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas",
    // Of earlier drafts: the meta-schema still describes it.
    "dependencies",
  ],
  [`${VOCABULARY}unevaluated`]: ["unevaluatedItems", "unevaluatedProperties"],
  [`${VOCABULARY}meta-data`]: [],
  [`${VOCABULARY}content`]: [],
};
const KEYWORDS_7 = [
  "$ref", ...VALIDATION, "format", "properties", "patternProperties", "additionalProperties",
  "propertyNames", "items", "contains", "allOf", "anyOf", "oneOf", "not", "if", "dependencies",
];
const ASSERTED = `${VOCABULARY}format-assertion`;

const dictionaryOf = (names) => {
  const found = newDictionary();
  for (let i = 0; i < names.length; i++) found[names[i]] = true;
  return found;
};

const dialectOf = (vocabularies) => {
  const keywords = newDictionary();
  for (let i = 0; i < vocabularies.length; i++) {
    const names = VOCABULARIES[vocabularies[i]];
    for (let j = 0; j < names.length; j++) keywords[names[j]] = true;
  }
  const asserts = dictionaryOf(vocabularies)[ASSERTED] === true;
  return { draft: 2020, uri: DRAFT_2020, keywords, holders: HOLDERS_2020, assertsFormats: asserts };
};

// A dialect of these vocabularies, or the name of one that it requires and that is unknown here.
export const withVocabularies = (names, required) => {
  const known = [];
  for (let i = 0; i < names.length; i++) {
    if (VOCABULARIES[names[i]] !== undefined) append(known, names[i]);
    else if (required[names[i]] === true) return names[i];
  }
  return dialectOf(known);
};

const STANDARD = [
  "core", "applicator", "unevaluated", "validation", "format-annotation", "meta-data", "content",
];

export const STANDARD_DIALECTS = {
  __proto__: null,
  [DRAFT_2020]: dialectOf(STANDARD.map((name) => VOCABULARY + name)),
  [DRAFT_7]: {
    draft: 7, uri: DRAFT_7, keywords: dictionaryOf(KEYWORDS_7), holders: HOLDERS_7,
    assertsFormats: false,
  },
};
