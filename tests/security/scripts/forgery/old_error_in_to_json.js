// An error made by V8 for a real cycle, kept, and thrown again for a result without one.
// expect: threw
// error: TypeError
function process() {
  const cycle = {};
  cycle.self = cycle;
  let kept;
  try { JSON.stringify(cycle); } catch (error) { kept = error; }
  return { toJSON() { throw kept; } };
}
