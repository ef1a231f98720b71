// Compile `format`, which asserts only where that is asked for.

import { fail } from "./errors.js";
import { FORMATS } from "./formats.js";
import { add, whereOf } from "./nodes.js";

export const compileFormat = (context, name) => {
  const { program, place } = context;
  const isValid = FORMATS[name];
  if (isValid === undefined || !(program.formats || place.resource.dialect.assertsFormats)) return;
  const where = whereOf(context, "format");
  const message = `is not of the format ${name}`;
  add(context, "string", (value, at, run) =>
    isValid(value) || fail(run, at, where, message, value));
};
