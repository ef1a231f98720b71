"""Load the validator into an isolate, with the schemas of one job."""

from collections.abc import Callable
from typing import Any, Final

from app.sandbox.isolates import Isolate, Value
from app.sandbox.native.mini_racer import Type
from app.sandbox.run_clock import RunClock

# The operation of harness.js, by its number.
_TAKE: Final = 19


def load_checks(
    isolate: Isolate,
    validator: bytes,
    checks: bytearray,
    call: Callable[[Any], Value],
    clock: RunClock,
) -> None:
    """Give the harness the validator and the schemas, which are dropped here; before user code."""
    loaded = isolate.evaluate(validator, deadline=clock.deadline)
    if loaded.type >= Type.EXECUTE_EXCEPTION:
        raise RuntimeError("the validator does not load")
    loaded.free()
    call(isolate.number(_TAKE)).free()
    with isolate.string(checks) as text:
        checks.clear()
        call(text).free()
