// Compile references, static and dynamic.

import { addInPlace } from "./cycles.js";
import { resolve } from "./documents.js";
import { add, entering, problemOf } from "./nodes.js";
import { append, indexOf, mapGet, mapSet, newMap, slice } from "./primordials.js";

// References nest in a document that is nested itself, or in a schema that refers to itself.
export const MAX_DEPTH = 1000;
export const TOO_DEEP = { __proto__: null };

const bounded = (choose) => (value, at, run, seen) => {
  if (++run.depth > MAX_DEPTH) throw TOO_DEEP;
  const ok = choose(run).test(value, at, run, seen);
  run.depth--;
  return ok;
};

const targetOf = (context, keyword, reference) => {
  const target = resolve(context.program.library, context.place, reference);
  if (typeof target !== "string") return target;
  problemOf(context, keyword, target);
  return null;
};

const dynamicNode = ({ program, place }, target) =>
  entering(place, target, program.nodeOf(target, false, "$dynamicRef"));

export const compileRef = (context, reference) => {
  const target = targetOf(context, "$ref", reference);
  if (target === null) return;
  const inner = context.program.nodeOf(target, context.passes && context.closed, "$ref");
  addInPlace(context.node, inner, context.place, "$ref");
  const node = entering(context.place, target, inner);
  add(context, "any", bounded(() => node));
};

export const compileDynamicRef = (context, reference) => {
  const target = targetOf(context, "$dynamicRef", reference);
  if (target === null) return;
  const node = dynamicNode(context, target);
  const anchor = slice(reference, indexOf(reference, "#") + 1);
  if (target.resource.dynamicAnchors[anchor] !== target) {
    add(context, "any", bounded(() => node));
    return;
  }
  const nodes = newMap(); // by resource
  append(context.program.dynamicRefs, { context, anchor, nodes });
  add(context, "any", bounded((run) => {
    let chosen = node;
    for (let { scope } = run; scope !== null; scope = scope.up) {
      const outer = mapGet(nodes, scope.resource);
      if (outer !== undefined) chosen = outer;
    }
    return chosen;
  }));
};

// Compiles what dynamic references may lead to: that anchor in any resource that can be entered.
export const compileDynamicTargets = (program) => {
  const { dynamicRefs, resources } = program;
  let known = 0;
  while (known !== dynamicRefs.length * resources.length) {
    known = dynamicRefs.length * resources.length;
    for (let i = 0; i < dynamicRefs.length; i++) {
      const { context, anchor, nodes } = dynamicRefs[i];
      for (let j = 0; j < resources.length; j++) {
        const target = resources[j].dynamicAnchors[anchor];
        if (target === undefined || mapGet(nodes, resources[j]) !== undefined) continue;
        mapSet(nodes, resources[j], dynamicNode(context, target));
      }
    }
  }
};
