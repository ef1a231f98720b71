// List the keywords in the order of their evaluation: cheap ones first.

import {
  compileAllOf, compileAnyOf, compileIf, compileNot, compileOneOf,
} from "./applicators.js";
import { compileFormat } from "./format_keyword.js";
import {
  compileContains, compileItemCount, compileItems, compilePrefixItems, compileUnevaluatedItems,
  compileUniqueItems,
} from "./items.js";
import {
  compileDependencies, compileMemberCount, compileMembers, compilePropertyNames,
  compileUnevaluatedProperties,
} from "./members.js";
import { compileDynamicRef, compileRef } from "./references.js";
import {
  compileBound, compileConst, compileEnum, compileMaxLength, compileMinLength, compileMultipleOf,
  compilePatternKeyword, compileType,
} from "./scalars.js";

const isAbove = (value, limit) => value > limit;
const isBelow = (value, limit) => value < limit;
const isNotBelow = (value, limit) => value >= limit;
const isNotAbove = (value, limit) => value <= limit;

// A compiler without a name serves several keywords, and decides by itself.
export const KEYWORDS = [
  { name: "type", compile: compileType },
  { name: "enum", compile: compileEnum },
  { name: "const", compile: compileConst },
  { name: "maximum", compile: compileBound("maximum", isAbove, "above") },
  { name: "exclusiveMaximum", compile: compileBound("exclusiveMaximum", isNotBelow, "not below") },
  { name: "minimum", compile: compileBound("minimum", isBelow, "below") },
  { name: "exclusiveMinimum", compile: compileBound("exclusiveMinimum", isNotAbove, "not above") },
  { name: "multipleOf", compile: compileMultipleOf },
  { name: "maxLength", compile: compileMaxLength },
  { name: "minLength", compile: compileMinLength },
  { name: "pattern", compile: compilePatternKeyword },
  { name: "format", compile: compileFormat },
  { name: "maxItems", compile: compileItemCount("maxItems", isAbove, "more") },
  { name: "minItems", compile: compileItemCount("minItems", isBelow, "fewer") },
  { name: "maxProperties", compile: compileMemberCount("maxProperties", isAbove, "more") },
  { name: "minProperties", compile: compileMemberCount("minProperties", isBelow, "fewer") },
  { name: null, compile: compileMembers },
  { name: "propertyNames", compile: compilePropertyNames },
  { name: "dependentRequired", compile: compileDependencies("dependentRequired") },
  { name: "prefixItems", compile: compilePrefixItems },
  { name: "items", compile: compileItems },
  { name: "uniqueItems", compile: compileUniqueItems },
  { name: "contains", compile: compileContains },
  { name: "$ref", compile: compileRef },
  { name: "$dynamicRef", compile: compileDynamicRef },
  { name: "allOf", compile: compileAllOf },
  { name: "anyOf", compile: compileAnyOf },
  { name: "oneOf", compile: compileOneOf },
  { name: "not", compile: compileNot },
  { name: "if", compile: compileIf },
  { name: "dependentSchemas", compile: compileDependencies("dependentSchemas") },
  { name: "dependencies", compile: compileDependencies("dependencies") },
  { name: "unevaluatedItems", compile: compileUnevaluatedItems },
  { name: "unevaluatedProperties", compile: compileUnevaluatedProperties },
];
