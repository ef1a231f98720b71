// Compile the keywords of objects; one pass over the members does most of them.

import { mark, within } from "./annotations.js";
import { fail } from "./errors.js";
import { add, addLate, below, childNode, inPlaceNode, whereOf } from "./nodes.js";
import { compilePattern } from "./patterns.js";
import { append, hasOwn, isArray, keys, matches, newDictionary, stringify } from "./primordials.js";
import { closes, refusal } from "./strictness.js";

const MAX_REMEMBERED = 64;
const NO_MEMBER = { name: null, node: null, required: 0 };

// `properties`, `patternProperties`, `additionalProperties` and `required`, if there are any, and
// the refusal of what a closed object does not register.
export const compileMembers = (context) => {
  const { schema, has } = context;
  const table = newDictionary();
  const listed = has("properties") ? keys(schema.properties) : [];
  for (let i = 0; i < listed.length; i++) {
    const node = childNode(context, schema.properties[listed[i]], "properties", listed[i]);
    table[listed[i]] = newMember(listed[i], node);
  }
  const required = has("required") ? markRequired(table, schema.required) : [];
  const patterns = has("patternProperties") ? patternsOf(context) : [];
  const rest = restOf(context);
  if (listed.length + patterns.length > 0 || rest !== null) {
    add(context, "object", membersTest(context, table, required.length, patterns, rest));
    if (required.length > 0) {
      const missing = missingTest(context, required);
      add(context, "object", (value, at, run) => !run.collect || missing(value, at, run));
    }
  } else if (required.length > 0) add(context, "object", missingTest(context, required));
};

const newMember = (name, node) => ({ name, node, required: 0 });

const markRequired = (table, names) => {
  for (let i = 0; i < names.length; i++) {
    if (table[names[i]] === undefined) table[names[i]] = newMember(names[i], null);
    table[names[i]].required = 1;
  }
  return names;
};

const missingTest = (context, required) => {
  const where = whereOf(context, "required");
  return (value, at, run) => {
    let ok = true;
    for (let i = 0; i < required.length; i++) {
      if (hasOwn(value, required[i])) continue;
      ok = false;
      if (!run.collect) return false;
      fail(run, at, where, `has no property ${stringify(required[i])}`, value);
    }
    return ok;
  };
};

const patternsOf = (context) => {
  const sources = keys(context.schema.patternProperties);
  const patterns = [];
  for (let i = 0; i < sources.length; i++) {
    const pattern = compilePattern(context, sources[i], "patternProperties");
    const schema = context.schema.patternProperties[sources[i]];
    const node = childNode(context, schema, "patternProperties", sources[i]);
    if (pattern !== null) append(patterns, { pattern, node });
  }
  return patterns;
};

// What tests the members that nothing else evaluates, or null.
const restOf = (context) => {
  const { schema, has, closed } = context;
  if (has("additionalProperties")) {
    return childNode(context, schema.additionalProperties, "additionalProperties");
  }
  return closed && closes(context) ? { test: refusal(context) } : null;
};

const membersTest = (context, table, requiredCount, patterns, rest) => {
  const { annotatesDeeply } = context;
  const evaluatesAll = context.has("additionalProperties");
  const testMember = (node, value, name, at, run, seen) => {
    let inner = null;
    if (seen !== null) {
      if (annotatesDeeply) inner = within(seen, name);
      else mark(seen, name);
    }
    return node.test(value[name], below(run, at, name), run, inner);
  };
  const testPatterns = (value, name, at, run, seen) => {
    let result = 0; // 1: evaluated, 2: evaluated and invalid
    for (let i = 0; i < patterns.length; i++) {
      if (matches(patterns[i].pattern, name) === null) continue;
      if (result === 0) result = 1;
      if (!testMember(patterns[i].node, value, name, at, run, seen)) result = 2;
    }
    return result;
  };
  const collectOrAnnotate = (value, at, run, seen) => {
    const names = keys(value);
    let found = 0;
    let ok = true;
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      const member = table[name];
      let evaluated = false;
      if (member !== undefined) {
        found += member.required;
        if (member.node !== null) {
          evaluated = true;
          if (!testMember(member.node, value, name, at, run, seen)) ok = false;
        }
      }
      if (patterns.length > 0) {
        const result = testPatterns(value, name, at, run, seen);
        if (result > 0) evaluated = true;
        if (result > 1) ok = false;
      }
      if (!evaluated && rest !== null && !testMember(rest, value, name, at, run, seen)) ok = false;
      if (!ok && !run.collect) return false;
    }
    if (evaluatesAll && seen !== null) seen.all = true;
    return ok && found === requiredCount;
  };
  if (patterns.length > 0) return collectOrAnnotate;
  const decide = decision(table, requiredCount, rest);
  return (value, at, run, seen) => (run.collect || seen !== null
    ? collectOrAnnotate(value, at, run, seen) : decide(value, run));
};

// The same for a pass that only decides. Most objects have their fields in the order of the one
// before, so the member at a position is the one that was there last time.
const decision = (table, requiredCount, rest) => {
  const last = [];
  for (let i = 0; i < MAX_REMEMBERED; i++) append(last, NO_MEMBER);
  return (value, run) => {
    const names = keys(value);
    let found = 0;
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      let member = i < MAX_REMEMBERED ? last[i] : NO_MEMBER;
      if (member.name !== name) {
        member = table[name];
        if (member === undefined) member = NO_MEMBER;
        else if (i < MAX_REMEMBERED) last[i] = member;
      }
      found += member.required;
      const node = member.node === null ? rest : member.node;
      if (node !== null && !node.test(value[name], null, run, null)) return false;
    }
    return found === requiredCount;
  };
};

export const compilePropertyNames = (context, schema) => {
  const node = childNode(context, schema, "propertyNames");
  add(context, "object", (value, at, run) => {
    const names = keys(value);
    let ok = true;
    for (let i = 0; i < names.length; i++) {
      if (node.test(names[i], below(run, at, names[i]), run, null)) continue;
      ok = false;
      if (!run.collect) return false;
    }
    return ok;
  });
};

export const compileMemberCount = (keyword, refuses, words) => (context, limit) => {
  const where = whereOf(context, keyword);
  const message = `has ${words} than ${limit} properties`;
  add(context, "object", (value, at, run) =>
    !refuses(keys(value).length, limit) || fail(run, at, where, message, value));
};

// ---- dependencies

const requireWith = (context, keyword, name, names) => {
  const where = whereOf(context, keyword);
  add(context, "object", (value, at, run) => {
    if (!hasOwn(value, name)) return true;
    let ok = true;
    for (let i = 0; i < names.length; i++) {
      if (hasOwn(value, names[i])) continue;
      ok = false;
      if (!run.collect) return false;
      const message = `has ${stringify(name)}, but no property ${stringify(names[i])}`;
      fail(run, at, where, message, value);
    }
    return ok;
  });
};

const applyWith = (context, keyword, name, schema) => {
  const node = inPlaceNode(context, schema, keyword, name);
  add(context, "object", (value, at, run, seen) =>
    !hasOwn(value, name) || node.test(value, at, run, seen));
};

export const compileDependencies = (keyword) => (context, dependencies) => {
  const names = keys(dependencies);
  for (let i = 0; i < names.length; i++) {
    const needed = dependencies[names[i]];
    if (isArray(needed)) requireWith(context, keyword, names[i], needed);
    else applyWith(context, keyword, names[i], needed);
  }
};

// ---- unevaluatedProperties

export const compileUnevaluatedProperties = (context, schema) => {
  const node = childNode(context, schema, "unevaluatedProperties");
  const { annotatesDeeply } = context;
  addLate(context, "object", (value, at, run, seen) => {
    if (seen.all) return true;
    const names = keys(value);
    let ok = true;
    for (let i = 0; i < names.length; i++) {
      if (seen.names[names[i]] !== undefined) continue;
      const inner = annotatesDeeply ? within(seen, names[i]) : null;
      if (node.test(value[names[i]], below(run, at, names[i]), run, inner)) continue;
      ok = false;
      if (!run.collect) return false;
    }
    seen.all = true;
    return ok;
  });
};
