"""Arguments that were mistyped are refused before anything is asked for."""

from pathlib import Path

import pytest

from crivo.cli.arguments import directory_argument, pointer_argument
from crivo.cli.exit_codes import ExitCode, UsageError
from tests.support.crivo_command import CrivoCommand


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--to: is empty"),
        ("s3:/bucket/x", "no URL, which has two slashes: s3://bucket/x"),
        ("s3://bucket/x", "is a URL, and here a directory"),
    ],
)
def test_what_is_no_directory_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        directory_argument("--to", text)


@pytest.mark.parametrize("text", [".", "C:/x", "out/a:b", "/x"])
def test_directories_are_taken(text: str) -> None:
    assert str(directory_argument("--to", text)) == text


def test_a_name_that_is_no_pointer_is_refused_with_the_one_that_is_meant() -> None:
    assert [pointer_argument("--key", each) for each in (None, "", "/a/0")] == [None, "", "/a/0"]
    with pytest.raises(UsageError, match="did you mean /a~1b"):
        pointer_argument("--key", "a/b")


@pytest.mark.parametrize("key", ["crv_0", "x" * 43])
def test_a_key_of_the_service_that_is_no_pointer_is_not_repeated(key: str) -> None:
    with pytest.raises(UsageError) as raised:
        pointer_argument("--key", key)

    assert key not in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        ("send", "", "events"),
        ("send", ".", "events", "--key", "event_id"),
        ("exports", "download", "some", "--to", ""),
    ],
)
def test_commands_refuse_them_without_a_service(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = CrivoCommand(tmp_path, "http://127.0.0.1:1")(*command)

    assert (done.code, len(done.err.splitlines())) == (ExitCode.USAGE, 1)
