"""Name the functions of V8's C++ interface that `threadless` calls, with their C types.

On x86-64 a `v8::Local` or `v8::MaybeLocal` is one pointer to a slot that holds the object's
address; it travels in a register, and a method takes it as `this`. A `v8::Maybe<int>` is a flag in
the low half of a register and the number in the high half.
"""

import ctypes
import platform
from collections.abc import Callable
from ctypes import c_bool, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, Final

from app.sandbox.native import exports


class Pair(ctypes.Structure):
    """V8's callbacks for embedder fields of a snapshot: a function and its data."""

    _fields_ = (("function", c_void_p), ("data", c_void_p))


# The library's own callback, which terminates JavaScript above the memory limit.
MEMORY_CALLBACK: Final = (
    "_ZN9MiniRacer20IsolateMemoryMonitor16StaticGCCallback"
    "EPN2v87IsolateENS1_6GCTypeENS1_15GCCallbackFlagsEPv"
)

# Name: (exported name, result, arguments).
_SIGNATURES: Final[dict[str, tuple[str, Any, list[Any]]]] = {
    # mini-racer's owner of an isolate and its allocator, {allocator*, isolate*}.
    "new_holder": ("_ZN9MiniRacer13IsolateHolderC1Ev", None, [c_void_p]),
    "end_holder": ("_ZN9MiniRacer13IsolateHolderD1Ev", None, [c_void_p]),
    "enter_isolate": ("_ZN2v87Isolate5EnterEv", None, [c_void_p]),
    "exit_isolate": ("_ZN2v87Isolate4ExitEv", None, [c_void_p]),
    "terminate": ("_ZN2v87Isolate18TerminateExecutionEv", None, [c_void_p]),
    # Chromium's unique_ptr travels in a register.
    "new_queue": (
        "_ZN2v814MicrotaskQueue3NewEPNS_7IsolateENS_16MicrotasksPolicyE",
        c_void_p,
        [c_void_p, c_int],
    ),
    "run_microtasks": (
        "_ZN2v88internal14MicrotaskQueue17PerformCheckpointEPNS_7IsolateE",
        None,
        [c_void_p, c_void_p],
    ),
    "on_collected": (
        "_ZN2v87Isolate21AddGCEpilogueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_",
        None,
        [c_void_p, c_void_p, c_void_p, c_int],
    ),
    # mini-racer's memory limit, as its isolates with a thread use it.
    "new_monitor": ("_ZN9MiniRacer25IsolateMemoryMonitorStateC1Ev", None, [c_void_p]),
    "set_memory_limit": (
        "_ZN9MiniRacer25IsolateMemoryMonitorState18SetHardMemoryLimitEm",
        None,
        [c_void_p, c_size_t],
    ),
    "memory_limit_reached": (
        "_ZNK9MiniRacer25IsolateMemoryMonitorState24IsHardMemoryLimitReachedEv",
        c_bool,
        [c_void_p],
    ),
    # The addresses of the three variables that make up an isolate's handle scope.
    "scope_next": (
        "_ZN2v88internal11HandleScope20current_next_addressEPNS0_7IsolateE",
        c_void_p,
        [c_void_p],
    ),
    "scope_limit": (
        "_ZN2v88internal11HandleScope21current_limit_addressEPNS0_7IsolateE",
        c_void_p,
        [c_void_p],
    ),
    "scope_level": (
        "_ZN2v88internal11HandleScope21current_level_addressEPNS0_7IsolateE",
        c_void_p,
        [c_void_p],
    ),
    "free_handles": (
        "_ZN2v88internal11HandleScope16DeleteExtensionsEPNS0_7IsolateE",
        None,
        [c_void_p],
    ),
    "new_context": (
        (
            "_ZN2v87Context3NewEPNS_7IsolateEPNS_22ExtensionConfigurationENS_10MaybeLocalINS_14"
            "ObjectTemplateEEENS5_INS_5ValueEEENS_33DeserializeInternalFieldsCallbackEPNS_14"
            "MicrotaskQueueENS_30DeserializeContextDataCallbackENS_29DeserializeAPIWrapperCallbackE"
        ),
        c_void_p,
        [c_void_p, c_void_p, c_void_p, c_void_p, Pair, c_void_p, Pair, Pair],
    ),
    "enter_context": ("_ZN2v87Context5EnterEv", None, [c_void_p]),
    "exit_context": ("_ZN2v87Context4ExitEv", None, [c_void_p]),
    "new_global": (
        "_ZN2v812api_internal18GlobalizeReferenceEPNS_8internal7IsolateEm",
        c_void_p,
        [c_void_p, c_size_t],
    ),
    "end_global": ("_ZN2v812api_internal13DisposeGlobalEPm", None, [c_void_p]),
    "new_string": (
        "_ZN2v86String11NewFromUtf8EPNS_7IsolateEPKcNS_13NewStringTypeEi",
        c_void_p,
        [c_void_p, c_void_p, c_int, c_int],
    ),
    "new_latin1": (
        "_ZN2v86String14NewFromOneByteEPNS_7IsolateEPKhNS_13NewStringTypeEi",
        c_void_p,
        [c_void_p, c_void_p, c_int, c_int],
    ),
    "utf8_length": ("_ZNK2v86String12Utf8LengthV2EPNS_7IsolateE", c_size_t, [c_void_p, c_void_p]),
    "write_utf8": (
        "_ZNK2v86String11WriteUtf8V2EPNS_7IsolateEPcmiPm",
        c_size_t,
        [c_void_p, c_void_p, c_void_p, c_size_t, c_int, c_void_p],
    ),
    # v8::String::Utf8Value, {char*, length}: `String(value)`, without exceptions.
    "new_text": (
        "_ZN2v86String9Utf8ValueC1EPNS_7IsolateENS_5LocalINS_5ValueEEE",
        None,
        [c_void_p, c_void_p, c_void_p],
    ),
    "end_text": ("_ZN2v86String9Utf8ValueD1Ev", None, [c_void_p]),
    "new_integer": ("_ZN2v87Integer3NewEPNS_7IsolateEi", c_void_p, [c_void_p, c_int]),
    "is_int32": ("_ZNK2v85Value7IsInt32Ev", c_bool, [c_void_p]),
    "is_name": ("_ZNK2v85Value6IsNameEv", c_bool, [c_void_p]),
    "is_symbol": ("_ZNK2v85Value8IsSymbolEv", c_bool, [c_void_p]),
    "int32": (
        "_ZNK2v85Value10Int32ValueENS_5LocalINS_7ContextEEE",
        c_uint64,
        [c_void_p, c_void_p],
    ),
    "compile": (
        "_ZN2v86Script7CompileENS_5LocalINS_7ContextEEENS1_INS_6StringEEEPNS_12ScriptOriginE",
        c_void_p,
        [c_void_p, c_void_p, c_void_p],
    ),
    "run": (
        "_ZN2v86Script3RunENS_5LocalINS_7ContextEEE",
        c_void_p,
        [c_void_p, c_void_p],
    ),
    "call": (
        "_ZN2v88Function4CallENS_5LocalINS_7ContextEEENS1_INS_5ValueEEEiPS5_",
        c_void_p,
        [c_void_p, c_void_p, c_void_p, c_int, c_void_p],
    ),
    "new_function": (
        (
            "_ZN2v88Function3NewENS_5LocalINS_7ContextEEEPFvRKNS_20FunctionCallbackInfoINS_5Value"
            "EEEENS1_INS_4DataEEEiNS_19ConstructorBehaviorENS_14SideEffectTypeE"
        ),
        c_void_p,
        [c_void_p, c_void_p, c_void_p, c_int, c_int, c_int],
    ),
    "item": (
        "_ZN2v86Object3GetENS_5LocalINS_7ContextEEEj",
        c_void_p,
        [c_void_p, c_void_p, c_uint32],
    ),
    "set_item": (
        "_ZN2v86Object3SetENS_5LocalINS_7ContextEEEjNS1_INS_5ValueEEE",
        ctypes.c_uint16,
        [c_void_p, c_void_p, c_uint32, c_void_p],
    ),
    "buffer_data": ("_ZNK2v811ArrayBuffer4DataEv", c_void_p, [c_void_p]),
    "buffer_bytes": ("_ZNK2v811ArrayBuffer10ByteLengthEv", c_size_t, [c_void_p]),
    "new_try": ("_ZN2v88TryCatchC1EPNS_7IsolateE", None, [c_void_p, c_void_p]),
    "end_try": ("_ZN2v88TryCatchD1Ev", None, [c_void_p]),
    "terminated": ("_ZNK2v88TryCatch13HasTerminatedEv", c_bool, [c_void_p]),
    "exception": ("_ZNK2v88TryCatch9ExceptionEv", c_void_p, [c_void_p]),
    "message": ("_ZNK2v88TryCatch7MessageEv", c_void_p, [c_void_p]),
    "stack_trace": (
        "_ZN2v88TryCatch10StackTraceENS_5LocalINS_7ContextEEENS1_INS_5ValueEEE",
        c_void_p,
        [c_void_p, c_void_p],
    ),
    "message_file": ("_ZNK2v87Message21GetScriptResourceNameEv", c_void_p, [c_void_p]),
    "message_line": (
        "_ZNK2v87Message13GetLineNumberENS_5LocalINS_7ContextEEE",
        c_uint64,
        [c_void_p, c_void_p],
    ),
    "message_source": (
        "_ZNK2v87Message13GetSourceLineENS_5LocalINS_7ContextEEE",
        c_void_p,
        [c_void_p, c_void_p],
    ),
    "message_start": ("_ZNK2v87Message14GetStartColumnEv", c_int, [c_void_p]),
    "message_end": ("_ZNK2v87Message12GetEndColumnEv", c_int, [c_void_p]),
}


class V8Functions:
    """The functions of a library that has them; their names are those of the table above."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Bind every function; `find` must have said `on`."""
        for name, (exported, result, arguments) in _SIGNATURES.items():
            function = getattr(library, exported)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.memory_callback = ctypes.cast(getattr(library, MEMORY_CALLBACK), c_void_p)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]:
            """Return one of the functions."""


def find(library: ctypes.CDLL) -> str:
    """Return `on` if the functions can be called, else `off` and why."""
    if platform.machine() != "x86_64":
        return f"off: not tested on {platform.machine()}"
    names = [exported for exported, _, _ in _SIGNATURES.values()]
    return exports.find(library, [*names, MEMORY_CALLBACK])
