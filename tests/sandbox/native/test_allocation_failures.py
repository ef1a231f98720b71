"""V8's own count of failed allocations decides; without it frames and messages do."""

from typing import Final

import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import OutOfMemory, Threw
from app.sandbox.pool import open_pool
from tests.sandbox.native.engines import MISSING, TURNED_OFF, evaluate
from tests.support.sandbox_runs import MIB, run

_REAL: Final = "new ArrayBuffer(3e9)"
_INVALID: Final = "new ArrayBuffer(-1)"


def test_only_a_failed_allocation_is_counted() -> None:
    too_large = evaluate(f"try {{ {_REAL} }} catch (error) {{ error.message }}")
    invalid = evaluate(f"try {{ {_INVALID} }} catch (error) {{ error.message }}")

    assert too_large.states["allocation_failures"] == "on", "V8's functions have changed"
    assert too_large.values == ["Array buffer allocation failed"]
    assert too_large.allocation_failed
    assert invalid.values == ["Invalid array buffer length"]
    assert not invalid.allocation_failed


def test_without_a_count_an_allocation_may_have_failed() -> None:
    evaluated = evaluate("''", missing=("allocation_failures._SAMPLE",))

    assert evaluated.states["allocation_failures"] == MISSING
    assert evaluated.allocation_failed


@pytest.mark.parametrize("native", [True, False])
async def test_an_error_with_v8s_message_is_classified(*, native: bool) -> None:
    real = f"function process() {{ try {{ {_REAL} }} catch (error) {{ throw error }} }}"
    forged = f"""function process() {{
      try {{ {_INVALID} }} catch (error) {{
        error.message = 'Array buffer allocation failed'
        throw error
      }}
    }}"""
    elsewhere = "function process() { throw new RangeError('Array buffer allocation failed') }"
    async with open_pool(PoolConfig(cells=1, warm=0, native=native)) as pool:
        assert (pool.native["allocation_failures"] == TURNED_OFF) == (not native)
        outcomes = [
            type((await run(pool, source, memory_bytes=256 * MIB)).outcome)
            for source in (real, forged, elsewhere)
        ]

    # A forged message on a buffer's own error is what frames and messages cannot tell apart.
    assert outcomes == [OutOfMemory, Threw if native else OutOfMemory, Threw]
