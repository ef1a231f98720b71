"""`crivo test` runs the cases beside a script, on a service or in this machine's sandbox."""

import json
import shutil
from pathlib import Path

import pytest

from crivo.cli.exit_codes import ExitCode
from crivo.differences import first_difference
from tests.support.crivo_command import CrivoCommand
from tests.support.servers import ROOT
from tests.support.system import CARDS, System

WHERE = pytest.mark.parametrize("where", [(), ("--local",)], ids=["service", "local"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cases"
    folder.mkdir()
    shutil.copy(CARDS / "script.js", folder)
    for name in ("", "-quarters"):
        shutil.copy(CARDS / f"payload{name}.json", folder / f"cards{name}.input.json")
        shutil.copy(CARDS / f"expected{name}.json", folder / f"cards{name}.expected.json")
    return folder


@WHERE
def test_cases_that_pass(crivo: CrivoCommand, folder: Path, where: tuple[str, ...]) -> None:
    done = crivo("test", folder, *where, cwd=ROOT)

    assert done.text == "ok    cards\nok    cards-quarters\n2 passed, 0 failed\n", done.err
    assert (done.code, done.err) == (0, "")


@WHERE
def test_cases_that_fail(crivo: CrivoCommand, folder: Path, where: tuple[str, ...]) -> None:
    expected = json.loads((folder / "cards.expected.json").read_bytes())
    expected[0]["qtdCartoesAtivos"] += 1
    (folder / "cards.expected.json").write_text(json.dumps(expected))
    (folder / "number.input.json").write_text("1")
    (folder / "number.expected.json").write_text("[]")

    done = crivo("test", folder, *where, cwd=ROOT)
    as_json = crivo("test", folder, "--json", *where, cwd=ROOT)

    assert done.code == as_json.code == ExitCode.FAILED
    assert done.text.splitlines() == [
        "FAIL  cards",
        "ok    cards-quarters",
        "FAIL  number",
        "1 passed, 2 failed",
    ]
    assert f"{folder}/cards.expected.json: /0/qtdCartoesAtivos: expected " in done.err
    assert f"{folder}/script.js:3:32: error: TypeError: data.filter is not a function" in done.err
    lines = [json.loads(line) for line in as_json.out.splitlines()]
    assert lines[0]["difference"]["pointer"] == "/0/qtdCartoesAtivos"
    assert lines[2]["error"]["line"] == 3
    assert lines[3] == {"passed": 1, "failed": 2}


@WHERE
def test_a_script_with_errors(crivo: CrivoCommand, folder: Path, where: tuple[str, ...]) -> None:
    (folder / "script.js").write_text("function process(data) {\n  return data +;\n}\n")

    done = crivo("test", folder, *where, cwd=ROOT)

    assert done.code == ExitCode.FAILED
    assert done.err.startswith(f"{folder}/script.js:2:16: error: ")
    assert done.out == b""


@WHERE
def test_results_become_the_expected_ones(
    crivo: CrivoCommand, folder: Path, where: tuple[str, ...]
) -> None:
    (folder / "cards.expected.json").unlink()
    missing = crivo("test", folder, *where, cwd=ROOT)

    updated = crivo("test", folder, "--update", *where, cwd=ROOT)
    again = crivo("test", folder, "--update", *where, cwd=ROOT)

    assert (b"cards  (updated)" in updated.out, b"(updated)" in again.out) == (True, False)
    assert (missing.code, "--update" in missing.err) == (ExitCode.USAGE, True)
    assert updated.code == 0
    written = json.loads((folder / "cards.expected.json").read_bytes())
    assert written == json.loads((CARDS / "expected.json").read_bytes())


@WHERE
def test_a_script_that_is_not_utf8(
    crivo: CrivoCommand, folder: Path, where: tuple[str, ...]
) -> None:
    (folder / "script.js").write_bytes(b"function process(data) { return '\xff' }")

    done = crivo("test", folder, *where, cwd=ROOT)

    assert (done.code, "UTF-8" in done.err) == (ExitCode.FAILED, True)


def test_nothing_is_stored(crivo: CrivoCommand, folder: Path, system: System) -> None:
    def stored() -> tuple[object, object]:
        scripts = system.client.get("/scripts?limit=1").json()["items"]
        executions = system.client.get("/executions?limit=1").json()["items"]
        return scripts, executions

    before = stored()

    assert crivo("test", folder).code == 0
    assert stored() == before


def test_a_local_run_needs_the_server_package_and_no_service(
    crivo: CrivoCommand, folder: Path
) -> None:
    away = "http://127.0.0.1:1"
    # A folder that looks like a checkout may be somebody else's.
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ntouch {folder}/executed\n")
    python.chmod(0o755)
    (folder / "app" / "cli").mkdir(parents=True)
    (folder / "app" / "cli" / "trial.py").touch()

    assert crivo("test", folder, "--local", cwd=folder, CRIVO_URL=away).code == 0
    assert not (folder / "executed").exists()
    elsewhere = crivo("test", folder, "--local", CRIVO_HOME=f"{folder}/app", CRIVO_URL=away)
    assert elsewhere.code == ExitCode.USAGE
    assert "--local: needs Crivo's server package" in elsewhere.err


def test_a_sandbox_that_ends_early_says_why(crivo: CrivoCommand, folder: Path) -> None:
    python = crivo.home / ".venv" / "bin" / "python"
    (crivo.home / "app" / "cli").mkdir(parents=True)
    (crivo.home / "app" / "cli" / "trial.py").touch()
    python.parent.mkdir(parents=True)
    # Its input is closed before a case is sent to it.
    ending = """exec <&-; echo '{"errors":[],"warnings":[]}'; echo no memory >&2"""
    python.write_text(f"#!/bin/sh\n{ending}\n")
    python.chmod(0o755)

    done = crivo("test", folder, "--local", CRIVO_HOME=str(crivo.home))

    assert (done.code, done.err) == (ExitCode.USAGE, "crivo: --local: no memory\n")


def test_a_result_that_has_no_utf_8_is_written_as_escapes(
    crivo: CrivoCommand, folder: Path
) -> None:
    (folder / "script.js").write_text("function process(_) { return ['\\ud83d', 'é'] }")

    updated = crivo("test", folder, "--update")

    assert updated.code == 0, updated.err
    assert json.loads((folder / "cards.expected.json").read_bytes()) == ["\ud83d", "é"]
    assert crivo("test", folder).code == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "other.js").touch(), "other.js, script.js"),
        (lambda folder: (folder / "script.js").unlink(), "none"),
        (shutil.rmtree, "is not a folder"),
        (lambda folder: [path.unlink() for path in folder.glob("*.json")], "holds no case"),
        (lambda folder: (folder / "a.input.json").write_text("{"), "a.input.json: not JSON"),
        (lambda folder: (folder / "cards.expected.json").write_text("{"), "not JSON"),
    ],
)
def test_a_folder_that_cannot_be_tested(
    crivo: CrivoCommand, folder: Path, spoil: object, message: str
) -> None:
    assert callable(spoil)
    spoil(folder)

    done = crivo("test", folder)

    assert done.code == ExitCode.USAGE
    assert message in done.err


@pytest.mark.parametrize(
    ("expected", "found", "text"),
    [
        ({"a": [1, 2]}, {"a": [1, 2.0]}, None),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
        (1, True, "(root): expected 1, found true"),
        ({"a/b": {"c~": 1}}, {"a/b": {"c~": 2}}, "/a~1b/c~0: expected 1, found 2"),
        ([1], [1, None], "/1: expected nothing, found null"),
        ({"a": None}, {}, "/a: expected null, found nothing"),
        ([], {}, "(root): expected [], found {}"),
    ],
)
def test_differences_are_named_by_pointer(
    expected: object, found: object, text: str | None
) -> None:
    difference = first_difference(expected, found)

    assert (None if difference is None else str(difference)) == text
