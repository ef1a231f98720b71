"""`crivo send` says what to do about files that cannot be sent, and sends what is new."""

import gzip
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from app.execution_errors import ErrorKind as Kind
from app.pipes.model import LetterKind
from crivo.cli.error_kinds import ErrorKind
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand


@pytest.fixture
def dataset() -> str:
    return f"hints-{uuid4().hex[:8]}"


def test_a_failed_send_names_the_way_out(crivo: CrivoCommand, dataset: str) -> None:
    (crivo.home / "a.csv").write_text("id,name\n1,x\n")

    failed = crivo("send", "a.csv", dataset)
    refused = crivo("send", "a.csv", dataset, "--format", "csv")
    deleted = crivo("datasets", "delete", dataset, "--yes")
    sent = crivo("send", "a.csv", dataset, "--format", "csv")

    assert failed.code == ExitCode.FAILED
    assert "a.csv: it looks like CSV, which --format csv takes" in failed.err
    anew = f"`crivo datasets delete {dataset} --yes`"
    assert (refused.code, anew in failed.err, anew in refused.err) == (4, True, True)
    assert (deleted.code, sent.code) == (0, 0)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b'[\n{"a":1},\n{"a":2}]\n', "looks like an array; `jq -c '.[]' data` writes"),
        (b'{\n  "a": 1\n}\n', "looks like JSON over several lines; `jq -c . data` writes"),
        (gzip.compress(b'{"a":1}\n', mtime=0), "data:1: error: begins like gzip: unpack it before"),
    ],
)
def test_what_a_file_looks_like_is_said(
    crivo: CrivoCommand, dataset: str, content: bytes, hint: str
) -> None:
    (crivo.home / "data").write_bytes(content)

    failed = crivo("send", "data", dataset).err

    assert hint in failed
    assert f"{dataset} exists and is empty: it takes the mended files" in failed


def test_what_is_no_list_of_records_is_said(crivo: CrivoCommand, dataset: str) -> None:
    (crivo.home / "one-line").write_bytes(b'[{"a":1},{"a":2}]\n')
    (crivo.home / "hidden").mkdir()
    (crivo.home / "hidden" / ".a.jsonl").touch()

    sent = crivo("send", "one-line", dataset)
    exported = crivo("export", dataset, "--to", "out", "--dedupe", "a")
    nothing = crivo("send", "hidden", dataset)

    hint = "array; `jq -c '.[]' one-line` writes a record a line"
    assert (sent.code, hint in sent.err) == (0, True)
    assert "the first record is an array; `jq -c '.[]' FILE`" in exported.err
    assert "hidden: holds no files to send, and .a.jsonl are left out" in nothing.err


def test_only_new_files_are_sent(crivo: CrivoCommand, dataset: str) -> None:
    folder = Path(crivo.home / "new")
    folder.mkdir()
    (folder / "1.jsonl").write_text('{"a":1}\n')
    first = crivo("send", "new", dataset, "--only-new")
    nothing = crivo("send", "new", dataset, "--only-new")
    (folder / "2.jsonl").write_text('{"a":2}\n')

    second = crivo("send", "new", dataset, "--only-new")
    unmatched = crivo("send", "new", dataset, "--only-new", "--include", "3.jsonl")
    replacing = crivo("send", "new", dataset, "--only-new", "--mode", "replace")

    assert (first.code, nothing.code, nothing.text) == (0, 0, "")
    assert "holds no new files" in nothing.err
    assert second.text.splitlines()[:2] == [f"dataset      {dataset}@2", "files        1"]
    assert (unmatched.code, "whose whole name matches '3.jsonl'" in unmatched.err) == (2, True)
    assert replacing.code == ExitCode.USAGE


def test_the_kinds_of_errors_are_those_of_the_service(crivo: CrivoCommand) -> None:
    assert set(get_args(ErrorKind)) == {*Kind, *LetterKind}
    misspelt = crivo("dead-letters", "list", "--kind", "scrip_error")
    assert (misspelt.code, "--kind" in misspelt.err) == (ExitCode.USAGE, True)
