"""Payloads reach V8 and come back unchanged: results equal Node's byte for byte."""

import shutil
import subprocess

import pytest

from tests.support.system import System

# Data that a service spoils if it decodes, reorders or rounds.
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
def test_unusual_data_is_treated_as_in_node(system: System, identity: str, case: str) -> None:
    data = UNUSUAL[case]

    execution = system.run(identity, data)

    assert system.client.get(f"/executions/{execution['id']}/input").content == data
    expected = _node(data)
    if expected is None:
        assert execution["error"]["kind"] == "invalid_input"
    else:
        assert system.client.get(f"/executions/{execution['id']}/result").content == expected


def test_deep_nesting_is_left_to_v8(system: System) -> None:
    """V8 parses 100,000 levels; deeper recursion in a script is V8's limit."""
    system.upload(
        "depth", "function process(d) { let n = 0; while (d) { d = d[0]; n++ } return n }"
    )
    data = b"[" * 100_000 + b"]" * 100_000

    execution = system.run("depth", data)

    assert execution["result"] == 100_000


def _node(data: bytes) -> bytes | None:
    """Return Node's result, None if it fails. Skips without Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: nothing to compare with")
    ran = subprocess.run([node, "-e", NODE], input=data, capture_output=True, check=False)
    if ran.returncode == 3:
        return None
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
