"""The second argument of `process` is complete, and no script or client can forge it."""

import pytest
from msgspec.structs import replace

from app.sandbox.outcomes import Context, InvalidInput
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import Ran, job, run_job

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTEXT = Context(
    execution_id="01a1fbeb-e362-742d-9594-29c5a8afd450",
    script="cards",
    version=3,
    labels={"batch": "ünï", "quote": '"},"seed":0'},
    params='{"limit": 2.50, "deep": [1, "é😀"]}',
)


async def _run(
    pool: SandboxPool, source: str, payload: bytes = b"null", *, context: Context = CONTEXT
) -> Ran:
    what = replace(job(source, seed=7, clock_ms=1_600_000_000_123), context=context)
    return await run_job(pool, what, payload)


async def test_process_receives_its_context(pool: SandboxPool) -> None:
    ran = await _run(pool, "const process = (data, context) => ({ data, context })", b"[1]")
    assert ran.value == {
        "data": [1],
        "context": {
            "execution_id": "01a1fbeb-e362-742d-9594-29c5a8afd450",
            "script": "cards",
            "version": 3,
            "labels": {"batch": "ünï", "quote": '"},"seed":0'},
            "params": {"limit": 2.5, "deep": [1, "é😀"]},
            "clock_ms": 1_600_000_000_123,
            "seed": 7,
        },
    }


async def test_a_large_payload_has_the_context(pool: SandboxPool) -> None:
    source = "const process = (data, { params }) => [data.length, params.deep[1]]"
    payload = b'"' + "é".encode() * 2_000_000 + b'"'
    assert (await _run(pool, source, payload)).value == [2_000_000, "é😀"]


async def test_a_small_payload_has_large_params(pool: SandboxPool) -> None:
    source = "const process = (data, { params }) => [data, params.length]"
    context = replace(CONTEXT, params=f'"{"x" * 65_000}"')
    assert (await _run(pool, source, b"1", context=context)).value == [1, 65_000]


async def test_a_script_may_change_its_own_context(pool: SandboxPool) -> None:
    source = """function process(data, context) {
      context.labels.more = 'x'
      context.params = delete context.seed
      return [context.labels.more, context.params, 'seed' in context]
    }"""
    assert (await _run(pool, source)).value == ["x", True, False]
    # No later run sees it.
    assert (await _run(pool, "const process = (_, c) => c.seed")).value == 7


async def test_the_top_level_cannot_forge_the_context(pool: SandboxPool) -> None:
    source = """
    const evil = () => { throw new Error('poisoned') }
    for (const name of ['execution_id', 'params', 'seed', 'labels'])
      Object.defineProperty(Object.prototype, name, { get: evil, set: evil, configurable: true })
    JSON.parse = String.prototype.slice = Array.prototype[Symbol.iterator] = evil
    const process = function () {
      const context = arguments[1]
      return [arguments.length, Object.hasOwn(context, 'params'), context.seed, context.params]
    }"""
    params = {"limit": 2.5, "deep": [1, "é😀"]}
    assert (await _run(pool, source)).value == [2, True, 7, params]


async def test_params_cannot_forge_the_context(pool: SandboxPool) -> None:
    source = "const process = (data, context) => [data, context.seed, context.params]"
    for params in ('1,"seed":0', '1},"seed":{"a":0', "{}}1", "", '"', "[1]x", "{'a': 1}"):
        ran = await _run(pool, source, b"2", context=replace(CONTEXT, params=params))
        assert isinstance(ran.outcome, InvalidInput), (params, ran.outcome)
        assert ran.outcome.message.startswith("params: ")
    odd = '{"seed": 0, "__proto__": {"x": 1}, "seed": [null]}'
    ran = await _run(pool, source, b"2", context=replace(CONTEXT, params=odd))
    assert ran.output == b'[2,7,{"seed":[null],"__proto__":{"x":1}}]'


async def test_a_payload_error_has_a_position_in_the_payload(pool: SandboxPool) -> None:
    for filler in (b" ", b" " * 100_000):
        payload = filler + b'{"a": oops}'
        outcome = (await _run(pool, "const process = d => d", payload)).outcome
        assert isinstance(outcome, InvalidInput)
        # Of short texts V8 shows the text, of long ones what is around the place.
        assert '"a": oops' in outcome.message
        assert "execution_id" not in outcome.message
    outcome = (await _run(pool, "const process = d => d", b"[1,]")).outcome
    assert isinstance(outcome, InvalidInput)
    assert "params" not in outcome.message
    outcome = (await _run(pool, "const process = d => d", b"\n[1,\n2,}")).outcome
    assert isinstance(outcome, InvalidInput)
    assert "execution_id" not in outcome.message


async def test_an_invalid_byte_is_counted_from_the_payloads_start(
    pool: SandboxPool,
) -> None:
    outcome = (await _run(pool, "const process = d => d", b'["\xff"]')).outcome
    assert isinstance(outcome, InvalidInput)
    assert outcome.byte_offset == 2


async def test_a_sample_has_a_context_of_the_same_form(pool: SandboxPool) -> None:
    source = "const process = (_, context) => context"
    assert (await _run(pool, source, context=Context())).value == {
        "execution_id": "00000000-0000-0000-0000-000000000000",
        "script": "check",
        "version": 0,
        "labels": {},
        "params": {},
        "clock_ms": 1_600_000_000_123,
        "seed": 7,
    }
