// Compile patterns as ECMA-262 has them, with the flag u.
//
// V8 compiles an expression when it is first used, and refuses some then, as too large.

import { problemOf } from "./nodes.js";
import { matches, Pattern } from "./primordials.js";

export const compilePattern = (context, source, keyword) => {
  try {
    const pattern = new Pattern(source, "u");
    if (!context.program.trusted) matches(pattern, "");
    return pattern;
  } catch {
    problemOf(context, keyword, `${source} is not a regular expression of ECMA-262 with the flag u`);
    return null;
  }
};

export const isPattern = (source) => {
  try {
    return new Pattern(source, "u") !== null;
  } catch {
    return false;
  }
};
