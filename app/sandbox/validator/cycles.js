// Find references that lead back to their own schema without descending into the value.

import { append } from "./primordials.js";

// Such a schema would never decide. Dynamic references are bounded when they run.
export const refuseEndless = (program) => {
  for (let i = 0; i < program.nodes.length; i++) visit(program, program.nodes[i]);
};

const UNSEEN = 0, OPEN = 1, DONE = 2;

export const newNode = () => ({ __proto__: null, test: null, inPlace: [], state: UNSEEN });

export const addInPlace = (from, to, place, keyword) => {
  if (to.inPlace !== undefined) append(from.inPlace, { to, place, keyword });
};

const visit = (program, node) => {
  if (node.state !== UNSEEN) return;
  node.state = OPEN;
  for (let i = 0; i < node.inPlace.length; i++) {
    const { to, place, keyword } = node.inPlace[i];
    if (to.state === OPEN) {
      program.problem(place, keyword, "leads back to itself without descending into the value");
    } else visit(program, to);
  }
  node.state = DONE;
};
