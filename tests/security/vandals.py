"""List scripts that each change something which another execution could observe."""

from typing import Final

# What each does in `process`. Those of the second list break an assumption that V8 makes about
# all contexts of an isolate, on which the speed of the others depends.
CHANGES: Final = {
    "a global": "globalThis.left = globalThis.polluted = 1",
    "prototypes": """
      for (const maker of [Object, Array, Symbol, Function, RegExp, String, Number, BigInt, Map]) {
        maker.prototype.polluted = 'P'
      }""",
    "sort and map": "Array.prototype.sort = Array.prototype.map = () => 'left'",
    "JSON": "JSON.stringify = () => '\"left\"'; JSON.parse = () => 'left'",
    "entries of maps": "Map.prototype.entries = () => ['left']",
    "globals gone": "delete globalThis.Temporal; delete globalThis.Set; delete globalThis.crypto",
    "symbols": "Object.defineProperty(Symbol.prototype, 'description', { get: () => 'left' })",
    "statics of RegExp": "/(h)el(l)o/.exec('say hello'); RegExp.input = 'left'",
    "stack limit": "Error.stackTraceLimit = 0",
    "stack hooks": "Error.prepareStackTrace = () => 'left'; Error.captureStackTrace = null",
    "random": "for (let i = 0; i < 100; i++) Math.random(); Math.random = () => 0.5",
    "frozen": "Object.freeze(Intl); Object.freeze(Math); Object.freeze(Array.prototype)",
    "clock": "Date.now = () => 5; Date.prototype.toString = () => 'left'",
    "Reflect": "Reflect.ownKeys = () => []; Reflect.getPrototypeOf = () => null",
    "microtasks": """
      globalThis.tasks = 0
      const next = () => { if (tasks++ < 1e4) Promise.resolve().then(next) }
      next()""",
    "console": "console.log = 1; console.group('left')",
    "texts of functions": "Function.prototype.toString = Function.prototype.call = () => 'left'",
    "a pattern's exec": "RegExp.prototype.exec = () => null",
    "subclasses": """
      class X extends Array { static get [Symbol.species]() { return Object } }
      new X(1, 2, 3).concat([1])""",
    "lexical names": "seen = 41; Counter.n = 41",
    "timers": "setInterval(() => { globalThis.left = 1 }, 1)",
    "libraries": "new URL('a:b'); URL.prototype.polluted = 1; globalThis.btoa = () => 'left'",
    "formats": "(5).toLocaleString('de'); Number.prototype.toLocaleString = () => 'left'",
    "a full stack": "const down = () => down(); try { down() } catch { globalThis.left = 1 }",
}
BREAKING: Final = {
    "iterator of lists": "Array.prototype[Symbol.iterator] = function* () { yield 'left' }",
    "then of promises": "Promise.prototype.then = () => 'left'",
    "then of objects": """
      Object.defineProperty(Object.prototype, 'then', { get() {}, configurable: true })""",
    "elements of objects": "Object.prototype[0] = 'left'",
    "prototype of lists": "Array.prototype.__proto__ = { get 0() { return 'left' } }",
    "constructor of lists": "Array.prototype.constructor = { [Symbol.species]: Object }",
}

_SCRIPT: Final = """
let seen = 100
class Counter {{ static n = 50 }}
function process() {{
  {change}
  return {{}}
}}"""


def script(*changes: str) -> bytes:
    """Return a script that makes these changes, and goes on if one of them fails."""
    body = "".join(f"try {{ {change} }} catch {{ /* the next one */ }}\n" for change in changes)
    return _SCRIPT.format(change=body).encode()
