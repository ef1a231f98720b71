// Refuse fields that a strict schema does not register.
//
// A field is registered if a schema that the object satisfies evaluates it; `additionalProperties`
// and `unevaluatedProperties` evaluate all fields, so an object that has them says otherwise. Only
// objects that a schema describes are closed: by `properties`, `patternProperties`, or a `type`
// that allows objects. A schema that is registered on its own is strict, or not, by itself: no
// reference from or to it changes that. Conditions (`if`, `not`, the keys of dependencies) describe
// nothing.

import { newSeen } from "./annotations.js";
import { locationOf } from "./documents.js";
import { fail } from "./errors.js";
import { add, below } from "./nodes.js";
import { isArray, keys } from "./primordials.js";

const UNREGISTERED = "is not registered by the schema";

export const closes = (context) =>
  context.program.isStrict(context.place.document.uri) && describes(context);

const describes = ({ schema, has }) => {
  if (has("properties") || has("patternProperties")) return true;
  if (!has("type")) return false;
  if (!isArray(schema.type)) return schema.type === "object";
  for (let i = 0; i < schema.type.length; i++) if (schema.type[i] === "object") return true;
  return false;
};

export const describe = (context) => {
  if (!closes(context)) return;
  const location = locationOf(context.place);
  add(context, "object", (value, at, run, seen) => {
    if (seen !== null && seen.described === null) seen.described = location;
    return true;
  });
};

// Returns a check that refuses each member it is called for.
export const refusal = ({ place }) => {
  const where = { keyword: "strict", pointer: locationOf(place) };
  return (value, at, run) => fail(run, at, where, UNREGISTERED, value);
};

export const refuseUnregistered = (test) => (value, at, run) => {
  if (typeof value !== "object" || value === null) return test(value, at, run, null);
  const seen = newSeen();
  const ok = test(value, at, run, seen);
  if (!ok && !run.collect) return false;
  return areRegistered(value, at, run, seen) && ok;
};

const areRegistered = (value, at, run, seen) => {
  const list = isArray(value);
  const names = list ? value : keys(value);
  const closed = !list && !seen.all && seen.described !== null;
  let ok = true;
  for (let i = 0; i < names.length; i++) {
    const name = list ? i : names[i];
    const inner = seen.names[name];
    const member = value[name];
    if (inner === undefined) {
      if (!closed) continue;
      const where = { keyword: "strict", pointer: seen.described };
      fail(run, below(run, at, name), where, UNREGISTERED, member);
      ok = false;
    } else if (inner !== true && typeof member === "object" && member !== null) {
      if (!areRegistered(member, below(run, at, name), run, inner)) ok = false;
    }
    if (!ok && !run.collect) return false;
  }
  return ok;
};
