"""The user's data is what V8 reads and writes: byte for byte what Node makes of it."""

import shutil
import subprocess

import pytest

from tests.acceptance.system import System

# What a service that decodes, reorders or rounds would spoil.
UNUSUAL = {
    "infinity": b"[1e400, -1e400]",
    "minus-zero": b"[-0, -0.0, 0]",
    "duplicate-keys": b'{"a": 1, "b": 2, "a": 3}',
    "twenty-digits": b"[12345678901234567890, 0.1234567890123456789]",
    "integer-keys": b'{"b": 1, "2": 2, "1": 3, "a": 4}',
    "proto-key": b'{"__proto__": {"x": 1}, "constructor": 2}',
    "lone-surrogates": b'["\\ud800", "\\udc00x", "\\ud83d\\ude00"]',
    "line-separators": '["\u2028\u2029"]'.encode(),
    "nul": b'["a\\u0000b"]',
    "astral": '["\U0001f600", "\u00e9"]'.encode(),
    "white-space": b" \t\r\n[ 1 , 2 ] \n",
    "scalar": b"42",
    "null": b"null",
    "byte-order-mark": b"\xef\xbb\xbf[1]",
    "raw-nul": b'["a\x00b"]',
    "raw-control": b'["a\nb"]',
    "trailing-comma": b"[1,]",
    "two-documents": b"1 2",
    "not-a-number": b"NaN",
}

NODE = """
const text = new TextDecoder('utf-8', {ignoreBOM: true}).decode(require('fs').readFileSync(0));
let result;
try { result = JSON.stringify(JSON.parse(text)) }
catch (error) { console.error(error.name); process.exit(3) }
process.stdout.write(result);
"""


@pytest.fixture(scope="module")
def identity(system: System) -> str:
    system.upload("identity", "const process = data => data")
    return "identity"


@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_data_comes_through_as_node_reads_and_writes_it(
    system: System, identity: str, case: str
) -> None:
    data = UNUSUAL[case]

    execution = system.run(identity, data)

    assert system.client.get(f"/executions/{execution['id']}/input").content == data
    expected = _node(data)
    if expected is None:
        assert execution["error"]["kind"] == "invalid_input"
    else:
        assert system.client.get(f"/executions/{execution['id']}/result").content == expected


def test_deep_nesting_is_read_as_v8_reads_it(system: System) -> None:
    """V8 parses 100,000 levels; how deep a script may go from there is for V8 to say."""
    system.upload(
        "depth", "function process(d) { let n = 0; while (d) { d = d[0]; n++ } return n }"
    )
    data = b"[" * 100_000 + b"]" * 100_000

    execution = system.run("depth", data)

    assert execution["result"] == 100_000


def _node(data: bytes) -> bytes | None:
    """What Node makes of it; None when it refuses. Skips where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: nothing to compare with")
    ran = subprocess.run([node, "-e", NODE], input=data, capture_output=True, check=False)
    if ran.returncode == 3:
        return None
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
