"""A version of `io: bytes` gets bytes and returns bytes, whatever its script does."""

import hashlib
import os

import pytest
from msgspec.structs import replace

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.media_types import is_media_type
from app.sandbox.outcomes import (
    InvalidResult,
    Io,
    OutOfMemory,
    OutputTooLarge,
    Succeeded,
    Threw,
    TimedOut,
    UnsettledPromise,
)
from app.sandbox.parts import Format, Output, Part, Task
from app.sandbox.pool import SandboxPool, open_pool
from app.sandbox.protocol import CHUNK_BYTES, Isolation
from tests.support.sandbox_runs import MIB, Ran, chunks_of, job, run_job
from tests.support.sandbox_streams import stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = "function process(bytes) { return bytes }"
RESIZABLE = "const RESIZABLE = new ArrayBuffer(8, { maxByteLength: 9 });"
BYTES = [
    ("bytes.buffer", b"012345"),
    ("bytes.subarray(1, 3)", b"12"),
    ("new DataView(bytes.buffer, 2, 3)", b"234"),
    ("new Uint16Array(bytes.buffer, 2, 1)", b"23"),
    ("new Uint8ClampedArray(bytes)", b"012345"),
    ("new (class extends Uint8Array { get length() { return 1 } })(bytes)", b"012345"),
    ("Object.setPrototypeOf(bytes, null)", b"012345"),
    ("Object.defineProperty(bytes, 'type', { get() { throw 1 } })", b"012345"),
    ("new Uint8Array(new ArrayBuffer(2, { maxByteLength: 9 }))", b"\0\0"),
    ("{ body: bytes, type: 'a/b' }", b"012345"),
    ("{ body: bytes.buffer, type: 'a/b' }", b"012345"),
]
NO_BYTES = [
    ("undefined", "undefined; did it forget `return`"),
    ("'text'", "TextEncoder"),
    ("7n", "a bigint"),
    ("[1, 2]", "an object that is no bytes"),
    ("{ type: 'image/png' }", "`body` is undefined"),
    ("{ type: 'image/png', body: 'text' }", "`body` is a string"),
    ("{ type: 'image/png', body: { body: bytes } }", "an object that is no bytes"),
    ("{ type: 7, body: bytes }", "`type` is no string"),
    ("{ type: new String('a/b'), body: bytes }", "`type` is no string"),
    ("{ type: 'a/' + 'b'.repeat(254), body: bytes }", "`type` is no string of up to 255"),
    ("{ body: bytes }", "has no `type`, such as"),
    ("{ type: 'png', body: bytes }", "'png' is not a media type"),
    (r"{ type: 'a/b\r\nSet-Cookie: x', body: bytes }", "is not a media type"),
    (r"{ type: 'a/b\ud800', body: bytes }", "is not a media type"),
    ("(bytes.buffer.transfer(), bytes)", "detached"),
    ("new Uint8Array(0).buffer.transfer() && (b => (b.transfer(), b))(bytes.buffer)", "detach"),
    ("(b => { const v = new Uint8Array(b, 4, 4); b.resize(5); return v })(RESIZABLE)", "too short"),
    ("new Proxy(bytes, {})", "an object that is no bytes"),
    ("Object.create(Uint8Array.prototype)", "no bytes"),
]  # fmt: skip


async def run(
    pool: SandboxPool,
    source: str,
    payload: bytes = b"",
    *,
    wall_ms: int = 10_000,
    memory_bytes: int = 512 * MIB,
    output_bytes: int = 64 * MIB,
) -> Ran:
    what = job(source, wall_ms=wall_ms, memory_bytes=memory_bytes, output_bytes=output_bytes)
    return await run_job(pool, replace(what, io=Io.BYTES), payload)


async def test_bytes_come_and_leave_exactly(pool: SandboxPool) -> None:
    for size in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 17):
        payload = os.urandom(size)
        ran = await run(pool, ECHO, payload)
        assert ran.outcome == Succeeded(output_bytes=size, media_type="application/octet-stream")
        assert hashlib.sha256(ran.output).digest() == hashlib.sha256(payload).digest()


async def test_an_input_in_chunks_is_one_array(pool: SandboxPool) -> None:
    payload = os.urandom(5 * MIB)
    source = """
    function process(b) {
      const shape = [b instanceof Uint8Array, b.length, b.byteOffset, b.buffer.byteLength];
      return { type: "text/plain; charset=utf-8", body: new TextEncoder().encode(shape.join()) };
    }"""
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    what = replace(job(source), io=Io.BYTES)
    report = await pool.run(what, payload=chunks_of(payload), sink=sink)
    text = b"true,%d,0,%d" % (len(payload), len(payload))
    assert report.outcome == Succeeded(
        output_bytes=len(text), media_type="text/plain; charset=utf-8"
    )
    assert output == text


async def test_the_context_names_the_type_of_the_input(pool: SandboxPool) -> None:
    source = """
    async function process(b, { media_type, seed }) {
      await null;
      return new TextEncoder().encode(`${media_type} ${seed}`);
    }"""
    what = replace(job(source, seed=7), io=Io.BYTES, media_type="image/png")
    assert (await run_job(pool, what, b"")).output == b"image/png 7"


async def test_what_counts_as_bytes(pool: SandboxPool) -> None:
    for returned, output in BYTES:
        ran = await run(pool, f"function process(bytes) {{ return {returned} }}", b"012345")
        assert isinstance(ran.outcome, Succeeded), (returned, ran.outcome)
        assert ran.output == output


async def test_anything_else_is_an_invalid_result(pool: SandboxPool) -> None:
    for returned, message in NO_BYTES:
        ran = await run(
            pool, RESIZABLE + f"function process(bytes) {{ return ({returned}) }}", b"012345"
        )
        assert isinstance(ran.outcome, InvalidResult), (returned, ran.outcome)
        assert message in ran.outcome.message
        assert ran.output == b""


async def test_members_are_read_once(pool: SandboxPool) -> None:
    source = """
    let reads = [];
    function process(bytes) {
      return {
        get type() { reads.push('type'); return 'x/' + reads.length },
        get body() { reads.push('body'); return new TextEncoder().encode(reads.join()) },
      };
    }"""
    ran = await run(pool, source)
    assert ran.outcome == Succeeded(output_bytes=9, media_type="x/1")
    assert ran.output == b"type,body"


async def test_a_getter_that_throws_is_the_scripts_error(pool: SandboxPool) -> None:
    ran = await run(pool, "function process() {\n return { get body() { throw Error('mine') } } }")
    assert isinstance(ran.outcome, Threw)
    assert (ran.error.message, ran.error.line) == ("mine", 2)


async def test_replaced_builtins_do_not_reach_the_harness(pool: SandboxPool) -> None:
    source = """
    const evil = () => { throw new Error('called') };
    const Typed = Object.getPrototypeOf(Uint8Array);
    for (const name of ['set', 'slice', 'subarray', 'keys', 'values', Symbol.iterator]) {
      Object.defineProperty(Typed.prototype, name, { value: evil });
    }
    for (const of of [Typed.prototype, ArrayBuffer.prototype, DataView.prototype]) {
      for (const name of ['buffer', 'byteLength', 'byteOffset', 'length', 'detached']) {
        Object.defineProperty(of, name, { get: evil, configurable: true });
      }
    }
    Object.defineProperty(Typed, Symbol.species, { get: evil });
    Object.defineProperty(ArrayBuffer, Symbol.species, { get: evil });
    for (const name of ['type', 'body', 'then', '0', '1', '2', '3']) {
      Object.defineProperty(Object.prototype, name, { get() { return undefined }, set: evil });
      Object.defineProperty(Array.prototype, name, { get() { return undefined }, set: evil });
    }
    const Real = Uint8Array;
    globalThis.Uint8Array = globalThis.ArrayBuffer = globalThis.DataView = evil;
    Function.prototype.call = Reflect.construct = Reflect.apply = evil;
    function process(bytes) { return bytes }
    """
    payload = os.urandom(2 * MIB + 1)
    assert (await run(pool, source, payload)).output == payload


async def test_what_runs_after_the_return_cannot_reach_bytes_that_are_leaving(
    pool: SandboxPool,
) -> None:
    source = """
    async function process(bytes) {
      setTimeout(() => bytes.fill(1), 0);
      Promise.resolve().then(() => bytes.buffer.transfer());
      return bytes;
    }"""
    ran = await run(pool, source, bytes(2 * MIB))
    assert isinstance(ran.outcome, InvalidResult)
    ran = await run(pool, source.replace("bytes.buffer.transfer()", "0"), bytes(2 * MIB))
    assert ran.output == bytes(2 * MIB)


async def test_limits_hold(pool: SandboxPool) -> None:
    ran = await run(pool, "const process = () => new Uint8Array(2_000_001)", output_bytes=2_000_000)
    assert ran.outcome == OutputTooLarge(limit_bytes=2_000_000)
    hoard = """
    const all = [];
    const process = () => { for (;;) all.push(new Uint8Array(1 << 24).fill(1)) }"""
    ran = await run(pool, hoard, memory_bytes=64 * MIB)
    assert isinstance(ran.outcome, OutOfMemory)
    ran = await run(pool, "const process = () => { for (;;); }", wall_ms=100)
    assert ran.outcome == TimedOut(limit_ms=100)
    ran = await run(pool, "const process = () => new Promise(() => {})")
    assert ran.outcome == UnsettledPromise()


async def test_the_console_and_errors_are_as_ever(pool: SandboxPool) -> None:
    ran = await run(pool, "function process(b) {\n console.log(b.length);\n b.nope() }", b"12")
    assert isinstance(ran.outcome, Threw)
    assert ran.error.line == 3
    assert [line.text for line in ran.logs] == ["2"]
    ran = await run(pool, "const map = x => x", b"12")
    assert isinstance(ran.outcome, Threw)
    assert ran.error.message.startswith("the script has no `process`")


async def test_a_part_of_a_run_has_its_own_format(pool: SandboxPool) -> None:
    what = replace(job("const map = bytes => bytes.subarray(1)"), io=Io.BYTES)
    part = Part(task=Task.MAP, format=Format.BYTES, output=Output.BYTES)
    ran = await stream(pool, what, part, b"012")
    assert (ran.report.outcome, ran.output) == (Succeeded(output_bytes=2), b"12")


@pytest.mark.parametrize("isolation", [Isolation.ISOLATE, Isolation.PROCESS, None])
async def test_each_isolation_has_bytes(isolation: Isolation | None) -> None:
    native = isolation is not None
    config = PoolConfig(cells=1, warm=1, isolation=isolation or Isolation.PROCESS, native=native)
    async with open_pool(config) as pool:
        for size in (0, 3, 2 * MIB):
            payload = os.urandom(size)
            ran = await run(pool, "const process = b => ({ type: 'a/b', body: b })", payload)
            assert ran.outcome == Succeeded(output_bytes=size, media_type="a/b")
            assert ran.output == payload


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("image/png", True),
        ("text/html; charset=utf-8", True),
        ('multipart/related;boundary="a \\" b" ; x=y', True),
        ("application/vnd.a+json", True),
        ("*/*", True),
        ("image", False),
        ("image/", False),
        ("image/png;", False),
        ("image/png; a", False),
        ("image /png", False),
        ("image/png\n", False),
        ("image/pñg", False),
        ('a/b; c="\n"', False),
        ("a/" + "b" * 254, False),
    ],
)
async def test_media_types(text: str, *, valid: bool) -> None:
    assert is_media_type(text) is valid
