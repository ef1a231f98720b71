"""The examples give their expected results in the real system, and the same bytes as Node."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.system import ROOT, System

EXAMPLES: Final = ROOT / "examples"
# A folder can have several cases: payload-quarters.json belongs to expected-quarters.json.
CASES: Final = sorted(
    str(path.relative_to(EXAMPLES).with_suffix("")) for path in EXAMPLES.glob("*/payload*.json")
)
NODE: Final = shutil.which("node")

# A classic script, which can redefine Node's `process`.
_IN_NODE: Final = """
const fs = require("node:fs");
const vm = require("node:vm");
const context = vm.createContext({ input: fs.readFileSync(0, "utf8") });
vm.runInContext(fs.readFileSync(process.argv[1], "utf8"), context);
fs.writeSync(1, vm.runInContext("JSON.stringify(process(JSON.parse(input)))", context));
"""


def test_the_readme_lists_all_five_examples() -> None:
    folders = {case.split("/")[0] for case in CASES}

    assert folders == {"cards", "clean", "join", "pivot", "validate"}
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)/script\.js\)", text)) == folders


@pytest.mark.parametrize("folder", sorted({case.split("/")[0] for case in CASES}))
def test_an_example_is_accepted_without_warnings(system: System, folder: str) -> None:
    source = (EXAMPLES / folder / "script.js").read_text(encoding="utf-8")

    answer = system.client.post("/scripts/check", json={"source": source})

    assert answer.json() == {"accepted": True, "warnings": []}


@pytest.mark.parametrize("case", CASES)
def test_an_example_gives_its_expected_result(system: System, case: str) -> None:
    execution = _run(system, case)

    assert execution["status"] == "succeeded", execution.get("error")
    assert execution["result"] == json.loads(_expected(case).read_bytes())


@pytest.mark.skipif(NODE is None, reason="no node on PATH to compare with")
@pytest.mark.parametrize("case", CASES)
def test_the_result_has_the_same_bytes_as_in_node(system: System, case: str) -> None:
    execution = _run(system, case)
    ours = system.client.get(execution["result_url"]).content

    nodes = subprocess.run(
        [str(NODE), "-e", _IN_NODE, str(_folder(case) / "script.js")],
        input=_payload(case).read_bytes(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout

    assert ours == nodes
    assert json.loads(nodes) == json.loads(_expected(case).read_bytes())


def test_validation_loses_nothing(system: System) -> None:
    result = _run(system, "validate/payload")["result"]

    kept = [*result["validos"], *(rejected["registro"] for rejected in result["rejeitados"])]
    rows = json.loads((EXAMPLES / "validate" / "payload.json").read_bytes())
    assert sorted(map(json.dumps, kept)) == sorted(map(json.dumps, rows))
    assert len(rows) == result["resumo"]["lidos"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"nomeBandeira": "VISA"}, "row 2 has no trimestre"),
        ({"trimestre": "20231"}, "row 2 has no nomeBandeira"),
        (
            {"trimestre": "20231", "nomeBandeira": "VISA", "valorTransacoesNacionais": "1"},
            "row 2: valorTransacoesNacionais is not a number",
        ),
    ],
)
def test_a_row_that_cannot_be_pivoted_is_reported(
    system: System, row: dict[str, str], message: str
) -> None:
    first = {"trimestre": "20231", "nomeBandeira": "VISA", "valorTransacoesNacionais": 1}

    execution = system.run(_upload(system, "pivot"), json.dumps([first, row]).encode())

    assert (execution["status"], execution["error"]["message"]) == ("failed", message)


def test_a_brand_may_have_any_name(system: System) -> None:
    rows = b'[{"trimestre": "1", "nomeBandeira": "__proto__", "valorTransacoesNacionais": 1}]'

    execution = system.run(_upload(system, "pivot"), rows)

    result = system.client.get(execution["result_url"]).content
    assert b'{"__proto__":1}' in result


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (1.005, 1.01),
        ("1,005", 1.01),
        ("-1,005", -1.01),
        ("1,0049999", 1.0),
        ("1.005", 1005),
        ("1.5", 1.5),
        ("R$ 0,10", 0.1),
        ("9.999,995", 10_000),
        (1e21, None),
        ("1,2,3", None),
        ("", None),
        (None, None),
    ],
)
def test_amounts_are_rounded_as_written(
    system: System, amount: str | float | None, expected: float | None
) -> None:
    payload = json.dumps([{"valorTransacoesNacionais": amount}]).encode()

    execution = system.run(_upload(system, "clean"), payload)

    assert execution["result"]["linhas"][0]["valorTransacoesNacionais"] == expected


def _run(system: System, case: str) -> dict[str, Any]:
    return system.run(_upload(system, _folder(case).name), _payload(case).read_bytes())


def _upload(system: System, folder: str) -> str:
    """Upload an example unless another test has, and return its name."""
    name = f"example-{folder}"
    if system.client.get(f"/scripts/{name}").status_code != httpx.codes.OK:
        system.upload(name, (EXAMPLES / folder / "script.js").read_bytes())
    return name


def _folder(case: str) -> Path:
    return (EXAMPLES / case).parent


def _payload(case: str) -> Path:
    return EXAMPLES / f"{case}.json"


def _expected(case: str) -> Path:
    return EXAMPLES / f"{case.replace('payload', 'expected')}.json"
