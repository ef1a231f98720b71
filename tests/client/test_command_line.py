"""The command line in pipes: exact bytes, compiler-like errors, documented exit codes."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from crivo.cli.exit_codes import MEANINGS, ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.servers import ROOT
from tests.support.system import CARDS, System, free_port

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
    push = crivo("scripts", "push", CARDS / "script.js", "--name", "cli-cards", "--promote", "prod")
    again = crivo("scripts", "push", CARDS / "script.js", "--name", "cli-cards")
    run = crivo("run", "cli-cards@prod", CARDS / "payload.json")

    assert (push.code, push.text) == (0, "cli-cards@1  new, now prod\n")
    assert again.text == "cli-cards@1  unchanged\n"
    assert (run.code, run.err) == (0, "")
    assert json.loads(run.out) == json.loads((CARDS / "expected.json").read_bytes())


@pytest.mark.parametrize("text", [b"[1e21,0.1]", b'"\xc3\xa9"', b"12345678901234567890"])
def test_a_result_is_exactly_the_bytes(
    crivo: CrivoCommand, system: System, echo: str, text: bytes
) -> None:
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


def test_errors_are_json_too(crivo: CrivoCommand) -> None:
    name = pushed(crivo, THROWS)

    failed = crivo("run", name, "-", "--json", stdin=b"null")
    missing = crivo("run", "missing", "-", "--json", stdin=b"null")

    assert json.loads(failed.err)["execution"]["error"]["line"] == 2
    assert json.loads(missing.err)["problem"]["type"].endswith("script-not-found")


def test_lists_in_a_pipe_are_separated_by_tabs(crivo: CrivoCommand, echo: str) -> None:
    crivo("run", echo, "-", stdin=b"1")

    [row] = crivo("executions", "list", "--script", echo).text.splitlines()

    assert row.split("\t")[1:3] == [f"{echo}@1", "succeeded"]
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


def test_an_execution_is_shown_watched_and_read(crivo: CrivoCommand, echo: str) -> None:
    submitted = crivo("run", echo, "-", "--detach", "--seed", "7", stdin=b"[1]")
    identifier = submitted.text.strip()

    assert crivo("watch", identifier).text.splitlines()[-1].endswith("succeeded")
    assert "seed         7" in crivo("executions", "show", identifier).text
    assert crivo("executions", "result", identifier).out == b"[1]"
    assert crivo("executions", "input", identifier).out == b"[1]"
    assert crivo("logs", identifier).text == "seen\n"
    assert crivo("executions", "cancel", identifier).code == ExitCode.REFUSED


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


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "missing", "data.json"), ExitCode.REFUSED, "`crivo scripts list` lists them"),
        (("run", "missing", "nothing.json"), ExitCode.USAGE, "nothing.json: No such file"),
        (("run", "missing", "empty.json"), ExitCode.USAGE, "is empty"),
        (("run", "missing", "."), ExitCode.USAGE, "is a folder"),
        (("run", "missing", "-"), ExitCode.USAGE, "standard input is empty"),
        (("run", "missing"), ExitCode.USAGE, "FILE requires an argument"),
        (("run", "missing", "data.json", "--wall-ms", "x"), ExitCode.USAGE, "--wall-ms"),
        (("run", "missing", "data.json", "--params", "{"), ExitCode.USAGE, "--params: not JSON"),
        (("run", "missing", "data.json", "--label", "a"), ExitCode.USAGE, "NAME:VALUE"),
        (("run", "a", "data.json", "--wall-ms", "0"), ExitCode.REFUSED, "wall_ms"),
        (("executions", "show", "no-id"), ExitCode.REFUSED, "no-id"),
        (("executions", "list", "--status", "odd"), ExitCode.REFUSED, "status"),
        (("executions", "list", "--limit", "-1"), ExitCode.USAGE, "--limit"),
        (("scripts", "push", "nothing.js"), ExitCode.USAGE, "nothing.js: No such file"),
        (("scripts", "push", "."), ExitCode.USAGE, "Is a directory"),
        (("scripts", "diff", "a@1", "b@1"), ExitCode.USAGE, "different scripts"),
        (("scripts", "pish"), ExitCode.USAGE, 'Unknown command "pish"'),
        (("lost",), ExitCode.USAGE, 'Unknown command "lost"'),
        (("--url", "x", "open"), ExitCode.USAGE, "--url"),
        (("open", "--url", "ftp://a"), ExitCode.USAGE, "http://… or https://…"),
        (("open", "--url", "http://a b"), ExitCode.USAGE, "http://a b"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    crivo: CrivoCommand, arguments: tuple[str, ...], code: ExitCode, message: str
) -> None:
    (crivo.home / "data.json").write_text("1")
    (crivo.home / "empty.json").touch()

    done = crivo(*arguments)

    assert (done.code, done.out) == (code, b""), done.err
    assert message in done.err
    assert done.err.startswith("crivo: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named(crivo: CrivoCommand, echo: str) -> None:
    (crivo.home / "secret.json").touch(mode=0o000)

    assert "Permission denied" in crivo("run", echo, "secret.json").err


def test_a_service_that_is_away_or_another_has_its_own_code(crivo: CrivoCommand) -> None:
    away = crivo("scripts", "list", CRIVO_URL=f"http://127.0.0.1:{free_port()}")
    with faulty_server() as proxy:
        proxy.faults = [Scripted(headers={"Content-Type": "text/html"}, body=b"<h1>Sign in")]
        other = crivo("scripts", "list", CRIVO_URL=proxy.url)

    assert (away.code, other.code) == (ExitCode.UNREACHABLE, ExitCode.UNREACHABLE)
    assert "Connection refused" in away.err
    assert "text/html" in other.err


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--help"), ("scripts", "--help"), ("completion", "bash")]
)
def test_a_reader_that_goes_ends_it_quietly(
    crivo: CrivoCommand, arguments: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*crivo.command, *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        env=crivo.environ,
        check=False,
    )
    os.close(write)

    assert done.stderr == b""


def test_a_reader_of_a_list_that_goes_ends_it_quietly(crivo: CrivoCommand, echo: str) -> None:
    for _ in range(3):
        crivo("run", echo, "-", "--detach", stdin=b"1")
    with crivo.started("executions", "list", "--script", echo, "--limit", "0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        code, message = process.wait(60), process.stderr.read()

    assert (code, message) == (ExitCode.PIPE_CLOSED, b"")


def test_ctrl_c_leaves_the_execution_and_says_so(crivo: CrivoCommand, system: System) -> None:
    name = pushed(crivo, "function process(_) { for (;;) {} }", "--wall-ms", "60000")
    with crivo.started("run", name, "-") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"1")
        process.stdin.close()
        while not system.client.get("/executions", params={"script": name}).json()["items"]:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        message = process.stderr.read().decode()
        code = process.wait(60)

    [execution] = system.client.get("/executions", params={"script": name}).json()["items"]
    assert code == ExitCode.INTERRUPTED
    assert message.splitlines()[-1] == "crivo: interrupted"
    assert "Traceback" not in message
    assert execution["finished_at"] is None
    crivo("executions", "cancel", execution["id"])


def test_the_exit_codes_are_documented(crivo: CrivoCommand) -> None:
    readme = (ROOT / "client" / "README.md").read_text()
    help_ = crivo("--help").text

    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in readme
        assert f"{code.value:3}  {meaning}\n" in help_


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
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
