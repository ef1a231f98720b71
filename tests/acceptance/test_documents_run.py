"""Commands in the documents run, and respond and fail as documented.

Each document gets a fresh system, on which its blocks run in order, in one shell.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

import pytest

from app.execution_errors import ErrorKind
from app.lint.diagnostics import MEANINGS
from tests.conventions.documents import (
    DOCUMENTS,
    Block,
    blocks,
    commands,
    failures,
    findings,
    pattern_of_failures,
)
from tests.support.crivo_command import write_command
from tests.support.launcher_process import free_port
from tests.support.servers import ROOT
from tests.support.system import System

# No script causes these two; the table says so.
_NO_SCRIPT: Final = {
    ErrorKind.INPUT_SCHEMA_MISMATCH,
    ErrorKind.OUTPUT_SCHEMA_MISMATCH,
    ErrorKind.UNKNOWN_SCHEMA,
    ErrorKind.SANDBOX_CRASH,
    ErrorKind.WORKER_LOST,
}
_BASH: Final = "/bin/bash"
_SHELL: Final = ("sh", "console")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS: Final = "127.0.0.1:8000"
# A refused request fails a command, like a program's exit code.
_CURL: Final = "fail-with-body\nsilent\nshow-error\n"
_SECONDS: Final = 120
_NAMES: Final = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def _runs(block: Block) -> bool:
    return block.language in _SHELL and not block.not_run


_WITH_COMMANDS: Final = [name for name in _NAMES if any(map(_runs, blocks(ROOT / name)))]


class Reader:
    """A shell in a copy of the repository that runs a document's commands."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder / "repository"
        self._folder.mkdir()
        for entry in ROOT.iterdir():
            (self._folder / entry.name).symlink_to(entry)
        self._variables = folder / "variables"
        self._variables.touch()
        home = folder / "home"
        home.mkdir()
        (home / ".curlrc").write_text(_CURL)
        write_command(home / "bin" / "crivo")
        self._environ = {
            **system.environ,
            "PATH": f"{home}/bin:{os.environ['PATH']}",
            # Documents leave out the URL: their system is at the command line's default.
            "CRIVO_URL": system.url,
            "HOME": str(home),
            # Processes that the commands start.
            "CRIVO_PORT": str(free_port()),
            "CRIVO_DATA": str(folder / "data"),
        }

    def types(self, text: str, *, may_fail: bool = False, shows_errors: bool = False) -> str:
        """Run commands in a shell that stops at the first failure; return its output."""
        state = shlex.quote(str(self._variables))
        text = text.replace(_ADDRESS, f"127.0.0.1:{self._system.port}")
        script = f"set -eo pipefail; set -a; . {state}\n{text}\nexport -p > {state}\n"
        done = subprocess.run(
            [_BASH, "-c", script],
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if shows_errors else subprocess.PIPE,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if not may_fail:
            assert done.returncode == 0, (text, done.stdout[-2_000:], done.stderr)
        return done.stdout.replace("\r\n", "\n")


@pytest.fixture
def reader(stopped_system: System, tmp_path: Path) -> Reader:
    # As installed: open until the first key exists.
    stopped_system.environ["CRIVO_AUTH"] = "auto"
    return Reader(stopped_system.start(), tmp_path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", _WITH_COMMANDS)
def test_every_command_of_a_document_runs(reader: Reader, document: str) -> None:
    ids: dict[str, str] = {}
    for block in blocks(ROOT / document):
        if not _runs(block):
            continue
        for command in commands(block):
            found = reader.types(
                _known(command.text, ids),
                may_fail=block.refused or block.fails,
                shows_errors=block.fails,
            ).strip()
            if not command.answer:
                continue
            found = _without_unshown_headers(found, command.answer)
            matched = _shape_of(command.answer, ids).fullmatch(found)
            assert matched, f"{document} shows another answer to: {command.text}\n{found}"
            # The ids are new; later commands refer to them.
            shown = [each for each in _UUID.findall(command.answer) if each not in ids]
            ids |= {each: matched[_group(each)] for each in shown}


@pytest.mark.parametrize("document", _NAMES)
def test_a_block_that_cannot_run_says_why_and_is_well_formed(document: str) -> None:
    for block in blocks(ROOT / document):
        if block.language not in _SHELL:
            continue
        for command in commands(block):
            subprocess.run([_BASH, "-n", "-c", command.text], check=True)
            # curl ends the value of a form's field at the first semicolon.
            assert not re.search(r"-F '?\"?source=", command.text)
        for named in re.findall(r"tests/[\w/]+\.py", block.not_run):
            assert (ROOT / named).is_file()


@pytest.mark.parametrize("document", _NAMES)
def test_scripts_in_documents_are_valid(system: System, document: str) -> None:
    for block in blocks(ROOT / document):
        if block.language == "js" and re.search(r"\bprocess\b", block.text):
            answer = system.client.post(
                "/scripts/check",
                content=block.text.encode(),
                headers={"Content-Type": "text/javascript"},
            )
            assert answer.status_code == 200, answer.text


def test_every_kind_of_failure_is_documented() -> None:
    rows = failures()

    assert [row.kind for row in rows] == [kind.value for kind in ErrorKind]
    assert {row.kind for row in rows if not row.script} == _NO_SCRIPT
    assert all(row.meaning for row in rows)


def test_every_finding_is_documented() -> None:
    assert findings() == {
        code.value: ("warning" if code.is_warning else "error", meaning)
        for code, meaning in MEANINGS.items()
    }


def test_each_script_of_the_table_fails_as_documented(
    reader: Reader,
) -> None:
    first, rest = pattern_of_failures()
    names = re.findall(r"(?:^| )(\w+)=", re.sub(r"'[^']*'", "", first))
    assert names == ["name", "script", "data", "limit"]
    for row in failures():
        if not row.script:
            continue
        values = (f"shows-{row.kind.replace('_', '-')}", row.script, row.data, row.limit)
        line = " ".join(
            f"{name}={shlex.quote(value)}" for name, value in zip(names, values, strict=True)
        )

        answers = reader.types(f"{line}\n{rest}")

        assert '"status":"failed"' in answers, row
        assert re.search(rf'"error":\s*{{"kind":\s*"{row.kind}"', answers), (row, answers)


def _without_unshown_headers(found: str, answer: str) -> str:
    """Drop headers that documents omit, as they say nothing about Crivo."""
    head, blank, body = found.partition("\n\n")
    if not blank or not head.startswith("HTTP/"):
        return found
    shown = {line.partition(":")[0] for line in answer.splitlines()}
    kept = [
        line
        for line in head.splitlines()
        if line.startswith("HTTP/") or line.partition(":")[0] in shown
    ]
    return "\n".join([*kept, "", body]).strip()


def _known(text: str, ids: dict[str, str]) -> str:
    return _UUID.sub(lambda found: ids.get(found[0], found[0]), text)


def _shape_of(answer: str, ids: dict[str, str]) -> re.Pattern[str]:
    """Return a pattern for a response: `…` matches anything, and each id any one id."""
    shape, named = "", set()
    for part in re.split(rf"({_UUID.pattern}|…)", _known(answer, ids)):
        if part == "…":
            shape += ".*"
        elif part in ids.values() or not _UUID.fullmatch(part):
            shape += re.escape(part)
        elif part in named:
            shape += f"(?P={_group(part)})"
        else:
            named.add(part)
            shape += f"(?P<{_group(part)}>{_UUID.pattern})"
    return re.compile(shape, re.DOTALL)


def _group(uuid: str) -> str:
    return f"id_{uuid.replace('-', '')}"


def test_a_difference_is_found() -> None:
    shape = _shape_of('{"id":"01a1fbeb-e349-7359-851e-28a65d1b7be4",…,"result":42.5}', {})

    assert shape.fullmatch('{"id":"01a1fbeb-0000-7359-851e-28a65d1b7be4","x":1,"result":42.5}')
    assert not shape.fullmatch('{"id":"01a1fbeb-0000-7359-851e-28a65d1b7be4","x":1,"result":43}')


def test_a_comment_marks_the_block_that_follows_it() -> None:
    [block] = [each for each in blocks(ROOT / "README.md") if each.text == "scripts/test\n"]

    assert block.not_run
    assert not _runs(block)
