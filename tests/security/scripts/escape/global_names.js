// Nothing of the platform's own is left among the global names.
// expect: succeeded
// output: []
function process() {
  const lexical = ["FILE", "MAX_NAME", "apply", "parse", "uncurry", "positions", "phase", "failure"];
  const known = /^([A-Z]\w*|globalThis|escape|unescape|eval|isFinite|isNaN|parseFloat|parseInt|undefined|console|self|(de|en)codeURI(Component)?|process|(set|clear)(Timeout|Interval)|queueMicrotask|structuredClone|atob|btoa|crypto|performance)$/;
  const names = Reflect.ownKeys(globalThis).map(String).filter((name) => !known.test(name));
  const bound = lexical.filter((name) => { with (globalThis) return name in globalThis; });
  return [...names, ...bound];
}
