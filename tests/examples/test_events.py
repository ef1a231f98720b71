"""The example of events: the commands of its README run, and leave what the truth says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conventions.documents import blocks
from tests.support.crivo_command import write_command
from tests.support.servers import ROOT
from tests.support.system import System

EXAMPLE: Final = ROOT / "examples" / "events"
BLOCKS: Final = blocks(EXAMPLE / "README.md")
COMMANDS: Final = [each.text for each in BLOCKS if each.language == "sh" and not each.not_run]
SMALL: Final = (("--count 5e6", "--count 2e4"), ("--days 30", "--days 3"))
ROWS: Final = 19_000
PARTITIONS: Final = 27


class Shell:
    """A shell beside the example, with the client's commands."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        (self.folder / "examples").symlink_to(ROOT / "examples")
        write_command(folder / "bin" / "crivo")
        path = (folder / "bin", Path(sys.executable).parent, os.environ["PATH"])
        self._environ = {"CRIVO_URL": url, "HOME": str(folder), "PATH": ":".join(map(str, path))}

    def runs(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/bin/bash", "-eo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.timeout(300)
def test_the_whole_case(stopped_system: System, tmp_path: Path) -> None:
    shell = Shell(stopped_system.start().url, tmp_path)
    outputs = []
    for command in map(_smaller, COMMANDS):
        done = shell.runs(command)
        assert done.returncode == 0, (command, done.stdout[-2_000:], done.stderr)
        outputs.append(done.stdout)
    _, _, exported, compared, _, questions = outputs

    truth = json.loads((shell.folder / "sample" / "truth.json").read_text(encoding="utf-8"))
    partitions = {_folder(each): each["rows"] for each in truth["partitions"]}
    assert {line.split("\t")[0]: int(line.split("\t")[1]) for line in exported.splitlines()} == (
        partitions
    )
    assert len(partitions) == PARTITIONS
    assert f"{ROWS} events in {PARTITIONS} files" in compared
    _, other = questions.splitlines()[:2]
    assert other.split("\t") == ["2", str(truth["lines"] - ROWS)]
    types = [line.split("\t") for line in questions.splitlines()[2:]]
    assert sum(int(rows) for _, _, rows in types) == ROWS
    table = (shell.folder / "events.sql").read_text(encoding="utf-8")
    assert set(re.findall(r"LOCATION 's3://bucket/events/(.+)/'", table)) == set(partitions)
    [other_readers] = [each.text for each in BLOCKS if each.language == "python"]
    done = shell.runs(f"python - <<'EOF'\n{other_readers}EOF")
    assert done.returncode == 0, done.stderr
    assert "status-change" in done.stdout
    assert f"{ROWS} events" in done.stdout

    # The comparison finds what is missing.
    next((shell.folder / "lake").rglob("*.parquet")).unlink()
    done = shell.runs(COMMANDS[3])
    assert (done.returncode, "found None" in done.stdout) == (1, True)


def _smaller(command: str) -> str:
    for written, small in SMALL:
        command = command.replace(written, small)
    return command


def _folder(part: dict[str, Any]) -> str:
    return (
        f"year={part['year']}/month={part['month']:02}/day={part['day']:02}"
        f"/domain={part['domain']}/event_type={part['event_type']}"
    )
