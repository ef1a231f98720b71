"""Share one isolate between contexts, one after the other, as long as they leave only garbage.

What a context leaves in its isolate, once it is dropped: garbage, and V8's protectors. Those are
assumptions about all contexts (no elements in a prototype, say), under which V8 runs faster code;
a script that breaks one makes the scripts after it slower, which they could observe.
"""

import ctypes
from ctypes import c_uint64
from typing import Final

from app.sandbox.native import exports
from app.sandbox.native.isolate import WORDS, Isolate
from app.sandbox.native.use_counter import SET_CALLBACK, UseCounter
from app.sandbox.native.v8_functions import V8Functions
from app.sandbox.native.watchdog import Watchdog

# v8::Isolate::NumberOfHeapSpaces() and GetHeapSpaceStatistics(HeapSpaceStatistics*, size_t)
_COUNT_SPACES: Final = "_ZN2v87Isolate18NumberOfHeapSpacesEv"
_READ_SPACE: Final = "_ZN2v87Isolate22GetHeapSpaceStatisticsEPNS_19HeapSpaceStatisticsEm"
# The structure begins with the space's name, a C string; this field is space_used_size.
_SPACE_NAME, _SPACE_USED = 0, 2
# It never changes.
_CONSTANT_SPACE: Final = b"read_only_space"
# v8::Isolate::AdjustAmountOfExternalAllocatedMemory(int64_t), which returns the new amount.
_ADJUST_EXTERNAL: Final = "_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEl"

# v8::internal::Protectors::Invalidate<name>(Isolate*), and what V8 reports then: the number of
# Isolate::UseCounterFeature::kInvalidated<name>Protector (v8-isolate.h). `self_check` compares.
PROTECTORS: Final = {
    "ArrayBufferDetaching": 90,
    "ArrayIteratorLookupChain": 92,
    "ArraySpeciesLookupChain": 93,
    "IsConcatSpreadableLookupChain": 94,
    "MapIteratorLookupChain": 95,
    "NoElements": 96,
    "PromiseHook": 97,
    "PromiseResolveLookupChain": 98,
    "PromiseSpeciesLookupChain": 99,
    "PromiseThenLookupChain": 100,
    "RegExpSpeciesLookupChain": 101,
    "SetIteratorLookupChain": 102,
    "StringIteratorLookupChain": 103,
    "StringLengthOverflowLookupChain": 104,
    "TypedArraySpeciesLookupChain": 105,
    "MegaDOM": 112,
    "NumberStringNotRegexpLike": 118,
    "NoProfiling": 124,
    "NoUndetectableObjects": 132,
    "StringWrapperToPrimitive": 140,
    "NoDateTimeConfigurationChange": 174,
}
# The library has no function of its own that invalidates this one.
_ARRAY_CONSTRUCTOR: Final = 91
_INVALIDATED: Final = frozenset(PROTECTORS.values()) | {_ARRAY_CONSTRUCTOR}


def invalidator(protector: str) -> str:
    """Return the exported name of V8's function that invalidates a protector."""
    name = f"Invalidate{protector}"
    return f"_ZN2v88internal10Protectors{len(name)}{name}EPNS0_7IsolateE"


def find(library: ctypes.CDLL) -> str:
    """Return `on` if the library exports what this module uses, else `off` and why."""
    names: tuple[str, ...] = (SET_CALLBACK, _COUNT_SPACES, _READ_SPACE, _ADJUST_EXTERNAL)
    names += tuple(map(invalidator, PROTECTORS))
    return exports.find(library, names)


class SharedIsolate(Isolate):
    """An isolate for contexts of which each is used for one job."""

    def __init__(self, library: ctypes.CDLL, v8: V8Functions, watchdog: Watchdog) -> None:
        """Make an isolate on this thread. Raises OSError."""
        super().__init__(v8, watchdog)
        self.uses = UseCounter(library)
        self.uses.watch(self.address)
        self._fresh_bytes = 0
        self._statistics = (c_uint64 * WORDS)()
        self._read_space = getattr(library, _READ_SPACE)
        self._read_space.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self._read_space.restype = ctypes.c_bool
        count_spaces = getattr(library, _COUNT_SPACES)
        count_spaces.argtypes, count_spaces.restype = [ctypes.c_void_p], ctypes.c_size_t
        names = [self._name_of(space) for space in range(count_spaces(self.address))]
        self._spaces = [at for at, name in enumerate(names) if name != _CONSTANT_SPACE]
        # Otherwise V8 has other names.
        self.knows_spaces = len(names) - len(self._spaces) == 1
        self._adjust_external = getattr(library, _ADJUST_EXTERNAL)
        self._adjust_external.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        self._adjust_external.restype = ctypes.c_int64

    def _name_of(self, space: int) -> bytes:
        self._read_space(self.address, self._statistics, space)
        return ctypes.string_at(self._statistics[_SPACE_NAME])

    def note_fresh(self) -> None:
        """Note what the contexts take, before the first job."""
        self.uses.reset()
        self._fresh_bytes = self.heap_bytes + self._external_bytes

    @property
    def heap_bytes(self) -> int:
        """The heap in use, garbage that is not collected yet included.

        Young objects count: an old object that is garbage itself keeps them alive.
        """
        used = 0
        for space in self._spaces:
            self._read_space(self.address, self._statistics, space)
            used += self._statistics[_SPACE_USED]
        return used

    @property
    def left_bytes(self) -> int:
        """The garbage of earlier jobs, in the heap and in buffers beside it."""
        return self.heap_bytes + self._external_bytes - self._fresh_bytes

    @property
    def _external_bytes(self) -> int:
        """The buffers beside the heap, as V8 counts them."""
        external: int = self._adjust_external(self.address, 0)
        return external

    @property
    def protectors_hold(self) -> bool:
        """Whether no script has invalidated one of V8's protectors."""
        return _INVALIDATED.isdisjoint(self.uses.used())
