"""The example of tables prints the statement that its README shows."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import sqlglot

from tests.support.system import ROOT

EXAMPLE: Final = ROOT / "examples" / "data-quality" / "json_schema_to_hive.py"


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_the_statement_is_that_of_the_readme(tmp_path: Path) -> None:
    printed = _run("--partition", "year:int", "--partition", "day:date", cwd=tmp_path)

    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout in EXAMPLE.with_name("README.md").read_text(encoding="utf-8")
    assert len(sqlglot.parse(printed.stdout.rstrip().rstrip(";"), dialect="athena")) == 1
    schema = json.loads(EXAMPLE.with_name("customer.schema.json").read_bytes())
    columns = [line.split("`")[1] for line in printed.stdout.splitlines() if line[:2] == "  "]
    assert columns == [name.lower() for name in schema["properties"]]


def test_what_has_no_type_is_an_error_with_its_place(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type":"object","properties":{"extra":{"type":"object"}}}')

    refused = _run(str(schema), cwd=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "schema.json: /properties/extra: an object without fields has no type" in refused.stderr
