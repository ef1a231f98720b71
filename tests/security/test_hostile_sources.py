"""Sources that strain the compiler are a script error, or run."""

import resource
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import Succeeded, Threw
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")
FUNCTION = "const process = data => "

# Nested deeper than the compiler's stack; each overflows in another part of it.
TOO_DEEP = {
    "open parentheses": "(" * MIB,
    "arrays": FUNCTION + "[" * 400_000 + "]" * 400_000,
    "objects": f"{FUNCTION}({'{a:' * 150_000}1{'}' * 150_000})",
    "blocks": "{" * 400_000 + "}" * 400_000,
    "functions": f"{FUNCTION}{'a => ' * 200_000}1",
    "signs": f"{FUNCTION}{'- ' * 400_000}1",
    "powers": f"{FUNCTION}2{'**1' * 200_000}",
    "conditions": FUNCTION + "a ? " * 200_000,
    "branches": f"{FUNCTION}{{ {'if (0); else ' * 70_000}; }}",
    "templates": FUNCTION + "`${" * 200_000 + "1" + "}`" * 200_000,
    "new": "new " * 200_000 + "a",
    "await": f"async function process() {{ return {'await ' * 100_000}1 }}",
    "patterns": f"{FUNCTION.replace('data', '[' * 100_000 + 'a' + ']' * 100_000)}1",
}
# Large, but nothing that a compiler may not take.
LARGE = {
    "a sum of 400,000": (f"{FUNCTION}0{'+1' * 400_000}", b"400000"),
    "80,000 variables": (
        f"let {','.join(f'a{n}={n}' for n in range(80_000))}; {FUNCTION}a79999",
        b"79999",
    ),
    "60,000 cases": (
        f"{FUNCTION}{{switch (data) {{{''.join(f'case {n}:' for n in range(60_000))}return 1}}}}",
        b"1",
    ),
    "a number of 900,000 digits": (f"{FUNCTION}{'9' * 900_000}", b"null"),
    "a name of 900,000 letters": (f"{FUNCTION}1; const {'a' * 900_000} = 1", b"1"),
    "900,000 lines": ("\n" * 900_000 + FUNCTION + "1", b"1"),
    "a NUL": (f'{FUNCTION}"a\0b"', rb'"a\u0000b"'),
    "a byte order mark": (f"\ufeff{FUNCTION}1", b"1"),
    "an interpreter's name": (f"#!/bin/sh\n{FUNCTION}1", b"1"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=1, warm=1, contexts=3)) as opened:
        yield opened


@pytest.mark.parametrize("name", TOO_DEEP)
async def test_a_source_too_deep_to_compile_is_the_scripts_error(
    pool: SandboxPool, name: str
) -> None:
    error = (await run(pool, TOO_DEEP[name])).error
    assert (error.name, error.message) == ("RangeError", "Maximum call stack size exceeded")
    assert error.line is None or error.line > 0
    assert (await run(pool, f"{FUNCTION}data", b"[1]")).output == b"[1]"


@pytest.mark.parametrize("name", LARGE)
async def test_a_large_source_runs(pool: SandboxPool, name: str) -> None:
    source, output = LARGE[name]
    ran = await run(pool, source, b"59999")
    assert (ran.outcome, ran.output) == (Succeeded(output_bytes=len(output)), output)


@pytest.mark.parametrize("stack_bytes", [MIB, resource.RLIM_INFINITY], ids=["small", "endless"])
async def test_the_services_stack_limit_does_not_affect_scripts(stack_bytes: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_STACK)
    if before[1] not in {resource.RLIM_INFINITY, stack_bytes}:
        pytest.skip("this host sets a ceiling")
    resource.setrlimit(resource.RLIMIT_STACK, (stack_bytes, before[1]))
    try:
        async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
            outcome = (await run(pool, "function process() { return process() }")).outcome
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, before)
    assert isinstance(outcome, Threw), outcome
    assert outcome.error.name == "RangeError"
