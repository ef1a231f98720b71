// Compile patterns as ECMA-262 has them, with the flag u.

import { problemOf } from "./nodes.js";
import { Pattern } from "./primordials.js";

export const compilePattern = (context, source, keyword) => {
  try {
    return new Pattern(source, "u");
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
