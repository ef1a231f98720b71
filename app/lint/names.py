"""List the globals of the sandbox, and hints for globals that only other hosts have."""

from typing import Final

# The own properties of the global object and of Object.prototype in a cell; a test compares.
_SANDBOX: Final = (
    "AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array "
    "BigUint64Array Boolean Crypto DOMException DataView Date DisposableStack Error EvalError "
    "Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array "
    "Intl Iterator JSON Map Math NaN Number Object Performance Promise Proxy RangeError "
    "ReferenceError Reflect RegExp Set String SubtleCrypto SuppressedError Symbol SyntaxError "
    "Temporal TextDecoder TextEncoder TypeError URIError URL URLSearchParams Uint16Array "
    "Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakSet __defineGetter__ "
    "__defineSetter__ __lookupGetter__ __lookupSetter__ __proto__ atob btoa clearInterval "
    "clearTimeout console constructor crypto decodeURI decodeURIComponent encodeURI "
    "encodeURIComponent escape eval globalThis hasOwnProperty isFinite isNaN isPrototypeOf "
    "parseFloat parseInt performance propertyIsEnumerable queueMicrotask self setInterval "
    "setTimeout structuredClone toLocaleString toString undefined unescape valueOf"
)
SANDBOX_NAMES: Final = frozenset(_SANDBOX.split())

_NETWORK: Final = "scripts have no network; send what is needed as data"
_TIMERS: Final = "use setTimeout: timers run in order, without waiting"
_BROWSER: Final = "scripts do not run in a browser"
_NODE: Final = "scripts do not run in Node.js"
_THREADS: Final = "it is removed: threads and garbage collection are not reproducible"

# Globals of other JavaScript hosts, with the reason why the sandbox has none.
HINTS: Final = {
    **dict.fromkeys(("fetch", "XMLHttpRequest", "WebSocket", "EventSource", "Request"), _NETWORK),
    **dict.fromkeys(("setImmediate", "clearImmediate", "requestAnimationFrame"), _TIMERS),
    **dict.fromkeys(
        ("window", "document", "navigator", "location", "localStorage", "alert"), _BROWSER
    ),
    **dict.fromkeys(("module", "exports", "require", "__dirname", "__filename"), _NODE),
    "global": "use `globalThis`",
    "Buffer": "use Uint8Array, which has fromBase64, toBase64, fromHex and toHex, and TextEncoder",
    "WebAssembly": "it is removed: scripts run no machine code",
    **dict.fromkeys(("SharedArrayBuffer", "Atomics", "WeakRef", "FinalizationRegistry"), _THREADS),
}

# The functions that Crivo calls, and how many of their arguments each must take: a script without
# `process` may define `map`, or the others.
STREAM_FUNCTIONS: Final = {
    "map": ("record",),
    "start": (),
    "step": ("state", "chunk"),
    "merge": ("a", "b"),
    "finish": ("state",),
}
FUNCTIONS_CALLED: Final = ("process", *STREAM_FUNCTIONS)

# Globals of module systems: a host has all of them or none.
MODULE_NAMES: Final = frozenset(("module", "exports", "require", "define"))

# Members of Node's own `process`, which a script's `process` is not.
_NODE_PROCESS: Final = (
    "abort argv cwd emitWarning env execPath exit exitCode getuid hrtime kill memoryUsage "
    "nextTick on once pid platform stderr stdin stdout uptime version versions"
)
NODE_PROCESS_MEMBERS: Final = frozenset(_NODE_PROCESS.split())
