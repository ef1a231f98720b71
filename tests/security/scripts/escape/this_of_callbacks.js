// The `this` of what the platform calls.
// expect: succeeded
// output: [true,true,true]
function process() {
  const sloppy = this === globalThis;
  const strict = (function () { "use strict"; return this === undefined; })();
  const held = { toJSON() { return this === held; } };
  return [sloppy, strict, held];
}
