"""The command line in pipes: exact bytes, compiler-like errors, documented exit codes."""

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.system import CARDS, System

ECHO: Final = "function process(data) { console.log('seen'); return data }\n"
THROWS: Final = "function process(data) {\n  return data.rows.length;\n}\n"


@pytest.fixture
def echo(system: System) -> str:
    name = f"echo-{uuid4().hex[:8]}"
    system.upload(name, ECHO)
    return name


def pushed(crivo: CrivoCommand, source: str, *arguments: str) -> str:
    """Push a source under a name of its own."""
    path = crivo.home / f"script-{uuid4().hex[:8]}.js"
    path.write_text(source)
    assert crivo("scripts", "push", path, *arguments).code == 0
    return path.stem


def test_a_script_is_pushed_promoted_and_run(crivo: CrivoCommand) -> None:
    name = f"cli-cards-{uuid4().hex[:8]}"
    push = crivo("scripts", "push", CARDS / "script.js", "--name", name, "--promote", "prod")
    again = crivo("scripts", "push", CARDS / "script.js", "--name", name)
    run = crivo("run", f"{name}@prod", CARDS / "payload.json")

    assert (push.code, push.text) == (0, f"{name}@1  new, now prod\n")
    assert again.text == f"{name}@1  unchanged\n"
    assert (run.code, run.err) == (0, "")
    assert json.loads(run.out) == json.loads((CARDS / "expected.json").read_bytes())


def test_a_result_is_exactly_the_bytes(crivo: CrivoCommand, system: System, echo: str) -> None:
    text = b'[1e21,0.1,"\xc3\xa9",12345678901234567890]'
    (crivo.home / "data.json").write_bytes(text)

    from_file = crivo("run", echo, "data.json")
    from_pipe = crivo("run", echo, "-", stdin=text)

    url = system.client.get(f"/executions?script={echo}").json()["items"][0]["result_url"]
    assert from_file.out == from_pipe.out == system.client.get(url).content


def test_a_large_result_streams(crivo: CrivoCommand) -> None:
    name = pushed(crivo, "function process(n) { return 'x'.repeat(n) }")

    run = crivo("run", name, "-", stdin=b"3000000")

    assert run.out == b'"' + b"x" * 3_000_000 + b'"'
    assert run.err == ""


def test_a_failure_looks_like_a_compilers(crivo: CrivoCommand) -> None:
    name = pushed(crivo, THROWS)

    run = crivo("run", name, "-", stdin=b"null")

    first, source, caret, last = run.err.splitlines()
    assert first == (
        f"{name}@1:2:15: error: TypeError: Cannot read properties of null (reading 'rows') "
        "[script_error]"
    )
    assert source == "  return data.rows.length;"
    assert caret.index("^") == 14
    assert "crivo logs" in last
    assert (run.code, run.out) == (ExitCode.FAILED, b"")


def test_a_source_with_errors_looks_like_a_compilers(crivo: CrivoCommand) -> None:
    (crivo.home / "broken.js").write_text("function process(data) {\n  return data +;\n}\n")

    push = crivo("scripts", "push", "broken.js")

    assert push.code == ExitCode.FAILED
    assert push.err.startswith("broken.js:2:16: error: ")
    assert push.err.splitlines()[1:3] == ["  return data +;", "               ^"]
    assert crivo("scripts", "show", "broken").code == ExitCode.REFUSED


def test_data_that_is_no_json_is_named_by_its_file(crivo: CrivoCommand, echo: str) -> None:
    (crivo.home / "data.json").write_text("{oops")

    run = crivo("run", echo, "data.json")

    assert run.code == ExitCode.FAILED
    assert run.err.startswith("data.json: error: ")


def test_json_everywhere(crivo: CrivoCommand, echo: str) -> None:
    run = crivo("run", echo, "-", "--json", "--label", "of:json", stdin=b"[1]")
    execution = json.loads(run.out)
    identifier = execution["id"]
    assert execution["result"] == [1]

    for command in (
        ("scripts", "list", "--name", echo),
        ("scripts", "show", echo),
        ("scripts", "source", echo),
        ("scripts", "diff", f"{echo}@1"),
        ("scripts", "promote", echo),
        ("executions", "list", "--label", "of:json"),
        ("executions", "show", identifier),
        ("executions", "result", identifier),
        ("logs", identifier),
        ("open",),
        ("logout",),
    ):
        done = crivo(*command, "--json")
        assert done.code == 0, (command, done.err)
        assert all(json.loads(line) for line in done.out.splitlines()), command
        assert done.out.endswith(b"\n")
    states = [json.loads(line) for line in crivo("watch", identifier, "--json").out.splitlines()]
    assert states[-1]["status"] == "succeeded"


def test_options_of_the_service_may_stand_first(crivo: CrivoCommand, system: System) -> None:
    name = pushed(crivo, ECHO)
    first = ("--url", system.url, "--json")

    shown = crivo(*first, "scripts", "show", name, CRIVO_URL="http://127.0.0.1:1")
    (crivo.home / "a.jsonl").write_text('{"pk":1}\n')
    sent = crivo(f"--url={system.url}", "--key", "x", "send", "a.jsonl", name, "--key", "/pk")

    assert json.loads(shown.out)["name"] == name
    # To a service without keys, any key is wrong.
    assert (sent.code, "datasets delete" in sent.err) == (ExitCode.REFUSED, False)


def test_errors_are_json_too(crivo: CrivoCommand) -> None:
    name = pushed(crivo, THROWS)

    failed = crivo("run", name, "-", "--json", stdin=b"null")
    missing = crivo("run", "missing", "-", "--json", stdin=b"null")
    incomplete = crivo("run", "--json")
    unread = crivo("run", name, "nothing.json", "--json")

    assert json.loads(failed.err)["execution"]["error"]["line"] == 2
    assert json.loads(missing.err)["problem"]["type"].endswith("script-not-found")
    assert json.loads(unread.err)["error"] == "FileNotFoundError"
    assert "SCRIPT requires" in json.loads(incomplete.err)["message"]


def test_lists_in_a_pipe_are_separated_by_tabs(crivo: CrivoCommand, echo: str) -> None:
    crivo("run", echo, "-", stdin=b"1")

    [row] = crivo("executions", "list", "--script", echo).text.splitlines()

    _, script, status, created, *_ = row.split("\t")
    assert (script, status) == (f"{echo}@1", "succeeded")
    assert datetime.fromisoformat(created).utcoffset() == timedelta(0)
    assert crivo("scripts", "list", "--name", echo).text.split("\t")[:2] == [echo, "1"]


def test_versions_are_compared_promoted_and_rolled_back(crivo: CrivoCommand) -> None:
    name = pushed(crivo, ECHO)
    (crivo.home / "next.js").write_text(ECHO.replace("seen", "looked"))
    crivo("scripts", "push", "next.js", "--name", name, "--note", "looks")

    diff = crivo("scripts", "diff", f"{name}@1", f"{name}@2").text.splitlines()
    assert diff[:2] == [f"--- {name}@1", f"+++ {name}@2"]
    assert [line[:1] for line in diff[3:]] == ["-", "+"]
    assert crivo("scripts", "promote", name).text == f"{name}@prod is version 2\n"
    assert crivo("scripts", "rollback", name).text == f"{name}@prod is version 1\n"
    assert crivo("scripts", "rollback", name).code == ExitCode.FAILED
    assert crivo("scripts", "source", f"{name}@1").out == ECHO.encode()
    rows = [line.split("\t") for line in crivo("scripts", "show", name).text.splitlines()]
    assert [(row[0], row[1], row[4]) for row in rows] == [("2", "", "looks"), ("1", "prod", "")]
    assert crivo("scripts", "archive", name).text == f"{name} is archived\n"
    assert crivo("run", name, "-", stdin=b"1").code == ExitCode.REFUSED
    assert crivo("scripts", "restore", name).text == f"{name} is restored\n"


def test_an_execution_is_shown_watched_and_read(crivo: CrivoCommand, echo: str) -> None:
    submitted = crivo("run", echo, "-", "--detach", "--seed", "7", stdin=b"[1]")
    identifier = submitted.text.strip()

    assert crivo("watch", identifier).text.splitlines()[-1].endswith("succeeded")
    assert "seed         7" in crivo("executions", "show", identifier).text
    assert crivo("executions", "result", identifier).out == b"[1]"
    assert crivo("executions", "input", identifier).out == b"[1]"
    assert crivo("logs", identifier).text == "seen\n"
    assert crivo("executions", "cancel", identifier).code == ExitCode.REFUSED


def test_an_execution_is_replayed_and_compared(crivo: CrivoCommand, echo: str) -> None:
    identifier = crivo("run", echo, "-", "--detach", stdin=b"[1]").text.strip()
    crivo("watch", identifier)
    (crivo.home / "next.js").write_text("function process(data) { return [data] }")
    crivo("scripts", "push", "next.js", "--name", echo)

    same = crivo("executions", "replay", identifier)
    other = crivo("executions", "replay", identifier, "--script", f"{echo}@2")

    assert (same.code, same.text.split("  ")[1:]) == (0, [f"{echo}@1", "succeeded", "identical\n"])
    assert (other.code, other.text.split("  ")[3]) == (ExitCode.FAILED, "differs\n")
    assert f"is not that of {identifier}" in other.err


def test_an_execution_that_takes_too_long_is_left_and_cancelled(crivo: CrivoCommand) -> None:
    name = pushed(crivo, "function process(_) { for (;;) {} }", "--wall-ms", "60000")

    run = crivo("run", name, "-", "--timeout", "0.2", stdin=b"1")
    identifier = run.err.split()[2]

    assert run.code == ExitCode.STILL_RUNNING
    assert crivo("executions", "cancel", identifier).text == f"{identifier}  cancelled\n"
    assert crivo("watch", identifier).code == ExitCode.FAILED
    assert "was cancelled" in crivo("executions", "result", identifier).err


def test_text_of_a_script_does_not_control_the_terminal(crivo: CrivoCommand) -> None:
    source = (
        "function process(d) { console.log('\\x1b[2Jcleared'); throw Error('\\x1b]0;title\\x07') }"
    )
    name = pushed(crivo, source)

    run = crivo("run", name, "-", stdin=b"1")
    identifier = run.err.split("execution ")[1].split()[0]

    assert "\x1b" not in run.err
    assert crivo("logs", identifier).text == "\\x1b[2Jcleared\n"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_shells_complete_commands(crivo: CrivoCommand, shell: str) -> None:
    script = crivo("completion", shell)

    assert script.code == 0
    assert "scripts" in script.text


def test_bash_completes_a_command(crivo: CrivoCommand, tmp_path: Path) -> None:
    (tmp_path / "crivo.bash").write_bytes(crivo("completion", "bash").out)
    typed = (
        f". {tmp_path}/crivo.bash; COMP_WORDS=(crivo exec); COMP_CWORD=1; "
        "$(complete -p crivo | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["/bin/bash", "-c", typed], capture_output=True, text=True, check=True)

    assert "executions" in done.stdout
