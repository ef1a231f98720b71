"""Payloads are read and written as V8 does it, compared with Node."""

import asyncio
import shutil
from pathlib import Path

import pytest

from app.sandbox.outcomes import Succeeded
from app.sandbox.pool import SandboxPool
from tests.support.sandbox_runs import MIB, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODE = shutil.which("node")
ROUND_TRIP = (
    "const fs = require('fs');"
    "fs.writeFileSync(process.argv[2], JSON.stringify(JSON.parse("
    "fs.readFileSync(process.argv[1], 'utf8'))))"
)
PAYLOADS = {
    "overflow": b"[1e400, -1e400, 1e-400]",
    "negative zero": b'[-0, -0.0, {"a": -0}]',
    "duplicate keys": b'{"a": 1, "b": 2, "a": 3}',
    "long integers": b"[12345678901234567890, -9007199254740993, 0.1, 1e21, 5e-324]",
    "proto": b'{"__proto__": {"x": 1}, "constructor": 2, "a": {"__proto__": null}}',
    "lone surrogates": rb'["\ud800", "\udc00x", "\ud83d\ude00", "\ud83d"]',
    "separators": '["\u2028\u2029", "a\u0085b", "\ufeff"]'.encode(),
    "nul": rb'{"\u0000": "a\u0000b"}',
    "integer keys": b'{"b": 1, "2": 2, "1": 3, "01": 4, "-1": 5}',
    "escapes": rb'"\b\f\n\r\t\"\\\/\u001f\u007f"',
    "astral": '["😀", "\U0001d4b3", "\U0010ffff", "é\u0301"]'.encode(),
    "blanks": b" \t\r\n [ 1 ,\n2 ] \n",
    "scalar": b"null",
    "deep": b"[" * 5_000 + b"]" * 5_000,
    "large": b'["' + "é".encode() * MIB + b'"]',
}


@pytest.mark.skipif(NODE is None, reason="no node on PATH to compare with")
@pytest.mark.parametrize("name", PAYLOADS)
async def test_a_round_trip_equals_nodes(pool: SandboxPool, tmp_path: Path, name: str) -> None:
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_bytes(PAYLOADS[name])
    node = await asyncio.create_subprocess_exec(
        str(NODE), "--stack-size=3900", "-e", ROUND_TRIP, str(source), str(target)
    )
    assert await node.wait() == 0
    ran = await run(pool, "const process = d => d", PAYLOADS[name])
    assert ran.output == target.read_bytes()


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_nesting_of_100_000_levels_comes_through(pool: SandboxPool, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    payload = opening * 100_000 + b"1" + closing * 100_000
    assert (await run(pool, "const process = d => d", payload)).output == payload


async def test_25_megabytes_come_through_whole(pool: SandboxPool) -> None:
    payload = b"[" + b",".join(b'{"id":%d,"name":"row"}' % i for i in range(1_000_000)) + b"]"
    assert len(payload) > 25_000_000
    ran = await run(pool, "const process = d => d", payload)
    assert ran.outcome == Succeeded(output_bytes=len(payload))
    assert ran.output == payload
