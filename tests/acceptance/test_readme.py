"""The README tells the truth: its commands answer as it shows, its scripts fail as it says."""

import json
import re
import subprocess
from typing import Final

import pytest

from app.failures import ErrorKind
from tests.acceptance.system import ROOT, System
from tests.house.readme import Failure, Typed, failures, typed

# No script can be blamed for these two: the README says so in their place.
_NO_SCRIPT: Final = {ErrorKind.SANDBOX_CRASH, ErrorKind.WORKER_LOST}
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_URL: Final = "http://127.0.0.1:8000"
# What differs from one run to the next.
_VARIABLE: Final = re.compile(
    r'"(created_at|updated_at|started_at|finished_at|seed|clock_ms|queued_ms|run_ms|lead_ms'
    r'|cpu_ms|peak_memory_bytes)": ?("[^"]*"|[0-9.e-]+)'
)


def test_every_kind_of_failure_is_in_the_readme() -> None:
    rows = failures()

    assert [row.kind for row in rows] == [kind.value for kind in ErrorKind]
    assert {row.kind for row in rows if not row.script} == _NO_SCRIPT
    assert all(row.meaning for row in rows)


@pytest.mark.parametrize(
    "row", [row for row in failures() if row.script], ids=lambda row: str(row.kind)
)
def test_a_script_of_the_readme_fails_as_it_says(system: System, row: Failure) -> None:
    name = f"readme-{row.kind}"
    limits = dict([row.limit.split("=")]) if row.limit else {}
    system.upload(name, row.script)

    execution = system.run(name, row.data.encode(), **limits)

    assert (execution["status"], execution["error"]["kind"]) == ("failed", row.kind)
    assert execution["error"]["message"]


def test_the_commands_of_the_readme_answer_as_it_shows(stopped_system: System) -> None:
    system = stopped_system.start()
    ids: dict[str, str] = {}
    commands = typed()
    assert len(commands) >= 5

    for each in commands:
        found = _type(system, each, ids)
        # The ids are new ones; the commands that follow name them.
        ids |= dict(zip(_UUID.findall(each.answer), _UUID.findall(found), strict=bool(each.answer)))

        assert _stable(found).splitlines() == _stable(_known(each.answer, ids)).splitlines(), (
            f"README.md shows another answer to: {each.command}"
        )


def _type(system: System, each: Typed, ids: dict[str, str]) -> str:
    """Run one command in a shell."""
    command = _known(each.command, ids).replace(_URL, system.url)
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown = {line.partition(":")[0] for line in each.answer.splitlines()}
    head, blank, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    if blank and head.startswith("HTTP/"):
        # The README leaves out the headers that say nothing about Crivo.
        kept = [
            line
            for line in head.splitlines()
            if line.startswith("HTTP/") or line.partition(":")[0] in shown
        ]
        return "\n".join([*kept, "", body]).strip()
    return done.stdout.strip()


def _known(text: str, ids: dict[str, str]) -> str:
    return _UUID.sub(lambda found: ids.get(found[0], found[0]), text)


def _stable(text: str) -> str:
    return _VARIABLE.sub(lambda found: f'"{found[1]}": …', text)


def test_a_difference_would_be_seen() -> None:
    answer = typed()[-1].answer

    assert json.loads(answer)["kind"] == "script_error"
    assert _stable(answer) == answer
