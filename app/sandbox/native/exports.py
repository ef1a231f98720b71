"""Find functions that V8's library exports under their C++ names."""

import ctypes
from collections.abc import Sequence
from typing import Final

from app.sandbox.native import ON

# v8::Isolate::GetCurrent()
CURRENT_ISOLATE: Final = "_ZN2v87Isolate10GetCurrentEv"


def find(library: ctypes.CDLL, names: Sequence[str]) -> str:
    """Return `on` if the library exports every name, else `off` and the first one missing."""
    missing = next((name for name in names if not hasattr(library, name)), None)
    return ON if missing is None else f"off: the library does not export {missing}"
