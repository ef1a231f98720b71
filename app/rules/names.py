"""The names that a script finds in the sandbox, and what to say of those that it does not."""

from typing import Final

# As a cell gives them: the own properties of the global object and of Object.prototype.
_SANDBOX: Final = (
    "AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array "
    "BigUint64Array Boolean DataView Date DisposableStack Error EvalError Float16Array "
    "Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array Intl "
    "Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect "
    "RegExp Set String SuppressedError Symbol SyntaxError Temporal TypeError URIError "
    "Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakSet __defineGetter__ "
    "__defineSetter__ __lookupGetter__ __lookupSetter__ __proto__ console constructor "
    "decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval globalThis self "
    "hasOwnProperty isFinite isNaN isPrototypeOf parseFloat parseInt propertyIsEnumerable "
    "toLocaleString toString undefined unescape valueOf"
)
SANDBOX_NAMES: Final = frozenset(_SANDBOX.split())

_NETWORK: Final = "a script has no network; send what it needs as data"
_TIMERS: Final = "there are no timers; a script runs from its data to its result"
_BROWSER: Final = "a script does not run in a browser"
_NODE: Final = "a script does not run in Node.js"
_THREADS: Final = "it is removed: threads and garbage collection cannot be reproduced"

# Names that other JavaScript hosts have, with the reason why they are not here.
HINTS: Final = {
    **dict.fromkeys(("fetch", "XMLHttpRequest", "WebSocket", "EventSource", "Request"), _NETWORK),
    **dict.fromkeys(
        ("setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval"), _TIMERS
    ),
    **dict.fromkeys(("requestAnimationFrame", "queueMicrotask", "performance"), _TIMERS),
    **dict.fromkeys(
        ("window", "document", "navigator", "location", "localStorage", "alert"), _BROWSER
    ),
    **dict.fromkeys(("module", "exports", "require", "__dirname", "__filename"), _NODE),
    "global": "use `globalThis`",
    "Buffer": "use Uint8Array",
    **dict.fromkeys(("TextEncoder", "TextDecoder"), "data comes and goes as text"),
    **dict.fromkeys(("atob", "btoa"), "use Uint8Array.fromBase64 and toBase64"),
    **dict.fromkeys(("URL", "URLSearchParams"), "take texts apart with a regular expression"),
    **dict.fromkeys(("structuredClone",), "use JSON.parse(JSON.stringify(value))"),
    **dict.fromkeys(("crypto", "Crypto"), "there is no source of secrets"),
    "WebAssembly": "it is removed: machine code is not for scripts",
    **dict.fromkeys(("SharedArrayBuffer", "Atomics", "WeakRef", "FinalizationRegistry"), _THREADS),
}

# What hosts with modules give a script, all of it or nothing.
MODULE_NAMES: Final = frozenset(("module", "exports", "require", "define"))

# Members of Node's own `process`, which a script's `process` is not.
_NODE_PROCESS: Final = (
    "abort argv cwd emitWarning env execPath exit exitCode getuid hrtime kill memoryUsage "
    "nextTick on once pid platform stderr stdin stdout uptime version versions"
)
NODE_PROCESS_MEMBERS: Final = frozenset(_NODE_PROCESS.split())
