"""Hostile data is processed or refused, and the next payload is read correctly."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.outcomes import InvalidInput, Outcome, OutOfMemory, Succeeded
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")
IDENTITY = "const process = data => data"

# Each with what comes out of an identity.
HARMLESS = {
    "keys of prototypes": (
        b'{"__proto__":{"a":1},"constructor":{"prototype":null},"toString":0,"then":1,"toJSON":2}',
        None,
    ),
    "the same key a thousand times": (b"{" + b'"a":1,' * 1_000 + b'"a":2}', b'{"a":2}'),
    "a key twice, escaped and not": (rb'{"a":1,"\u0061":2}', b'{"a":2}'),
    "a number of a million digits": (b"1" * 1_000_000, b"null"),
    "a fraction of a million digits": (b"0." + b"1" * 1_000_000, b"0.1111111111111111"),
    "exponents beyond all numbers": (b"[1e999999999,-1e999999999,1e-999999999]", b"[null,null,0]"),
    "a number that once hung others": (b"2.2250738585072011e-308", b"2.225073858507201e-308"),
    "halves of characters": (rb'["\ud800","\udc00\ud800","\ud83d\ude00"]', None),
    "escapes that are not needed": (rb'"\u0041\/\u2028"', '"A/\u2028"'.encode()),
    "controls and ends of lines": (rb'"\u0000\u001b[2J\r\n\u0085"', None),
    "keys that are indices": (b'{"4294967294":1,"4294967295":2,"0":3}', None),
    "an index far away": (b'{"length":4294967295,"4294967294":1}', None),
    "keys that collide": (
        b"{" + b",".join(b'"%d":0' % (n << 16) for n in range(20_000)) + b"}",
        None,
    ),
    "a hundred thousand keys": (
        b"{" + b",".join(b'"key%d":%d' % (n, n) for n in range(100_000)) + b"}",
        None,
    ),
    "a key of a megabyte": (b'{"' + b"k" * MIB + b'":1}', None),
    "fifty thousand levels": (b'[{"a":' * 25_000 + b"0" + b"}]" * 25_000, None),
    "blanks without end": (b" " * MIB + b"1" + b"\n" * MIB, b"1"),
    "something like a verdict": (b'{"kind":"timed_out","run_ns":1,"error":null}', None),
    "something like a frame": (rb'"\u0000\u0000\u0000\u0002{}\u0006"', None),
    "something like code": (b'"*/}); while(true); //\\n<!--"', None),
}

REFUSED = {
    "nothing": b"",
    "a comment": b"[1] // one",
    "a trailing comma": b"[1,]",
    "a single quote": b"{'a':1}",
    "a bare word": b"NaN",
    "a call": b'eval("1")',
    "hexadecimal": b"0x10",
    "a byte order mark": b"\xef\xbb\xbf1",
    "two values": b"1 2",
    "a control in a text": b'"\x1b"',
    "a NUL behind the value": b"1\x00",
    "an escape that is none": rb'"\x41"',
    "a million levels left open": b"[" * 1_000_000,
    "an overlong character": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a character beyond Unicode": b'"\xf4\x90\x80\x80"',
    "a cut character": b'"\xf0\x9f\x98',
    "UTF-16": '"a"'.encode("utf-16"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=1, warm=1, contexts=3)) as opened:
        yield opened


@pytest.mark.parametrize("name", HARMLESS)
async def test_unusual_data_is_processed(pool: SandboxPool, name: str) -> None:
    payload, expected = HARMLESS[name]
    ran = await run(pool, IDENTITY, payload)
    wanted = _as_written(payload) if expected is None else expected
    assert (ran.outcome, ran.output) == (Succeeded(output_bytes=len(wanted)), wanted)
    await _assert_next_is_right(pool)


@pytest.mark.parametrize("name", REFUSED)
async def test_data_that_is_no_json_is_invalid_input(pool: SandboxPool, name: str) -> None:
    ran = await run(pool, IDENTITY, REFUSED[name])
    assert isinstance(ran.outcome, InvalidInput), ran.outcome
    assert len(ran.outcome.message) < 500
    await _assert_next_is_right(pool)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"[" + b"[]," * 12_000_000 + b"[]]", id="many small things"),
        pytest.param(b"[" * 50_000_000, id="fifty million levels"),
    ],
)
async def test_data_that_is_too_large_exceeds_the_memory_limit(
    pool: SandboxPool, payload: bytes
) -> None:
    ran = await run(pool, IDENTITY, payload, memory_bytes=64 * MIB)
    assert isinstance(ran.outcome, OutOfMemory), ran.outcome
    await _assert_next_is_right(pool)


async def _assert_next_is_right(pool: SandboxPool) -> None:
    ran = await run(pool, IDENTITY, b'{"a":[1,"\xc3\xa9"]}')
    expected: Outcome = Succeeded(output_bytes=14)
    assert (ran.outcome, ran.output) == (expected, b'{"a":[1,"\xc3\xa9"]}')


def _as_written(payload: bytes) -> bytes:
    """What V8 writes for these: indices first, in their order; the rest as it came."""
    if payload.startswith(b'{"4294967294"'):
        return b'{"0":3,"4294967294":1,"4294967295":2}'
    if payload.startswith(b'{"length"'):
        return b'{"4294967294":1,"length":4294967295}'
    return payload.replace(rb"\ud83d\ude00", "😀".encode()).replace(rb"\u0085", b"\xc2\x85")
