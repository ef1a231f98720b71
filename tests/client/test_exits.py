"""The command line ends as documented: codes, one line of what is wrong, quiet broken pipes."""

import os
import signal
import subprocess
from uuid import uuid4

import pytest

from crivo.cli.exit_codes import MEANINGS, ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.faulty_server import Scripted, faulty_server
from tests.support.servers import ROOT
from tests.support.system import System, free_port


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "missing", "data.json"), ExitCode.REFUSED, "`crivo scripts list` lists them"),
        (("run", "missing", "nothing.json"), ExitCode.USAGE, "nothing.json: No such file"),
        (("run", "missing", "data.json/x"), ExitCode.USAGE, "data.json/x: Not a directory"),
        (("run", "missing", "empty.json"), ExitCode.USAGE, "is empty"),
        (("run", "missing", "."), ExitCode.USAGE, "is a folder"),
        (("run", "missing", "-"), ExitCode.USAGE, "standard input is empty"),
        (("run", "missing"), ExitCode.USAGE, "name a FILE"),
        (("run", "missing", "data.json", "--dataset", "d"), ExitCode.USAGE, "is one document"),
        (("run", "missing", "data.json", "--on-error", "skip"), ExitCode.USAGE, "--on-error"),
        (("run", "a", "--dataset", "d", "--key", "crv_1"), ExitCode.USAGE, "is --api-key"),
        (("run", "a", "--dataset", "d", "--mode", "append"), ExitCode.USAGE, "--output"),
        (("run", "missing", "--file", "data.json"), ExitCode.REFUSED, "`crivo scripts list`"),
        (("run", "missing", "--dataset", "d"), ExitCode.REFUSED, "`crivo scripts list`"),
        (("run", "missing", "data.json", "--wall-ms", "x"), ExitCode.USAGE, "--wall-ms"),
        (("run", "missing", "data.json", "--params", "{"), ExitCode.USAGE, "--params: not JSON"),
        (("run", "missing", "data.json", "--label", "a"), ExitCode.USAGE, "NAME:VALUE"),
        (("run", "a", "data.json", "--wall-ms", "0"), ExitCode.REFUSED, "wall_ms"),
        (("scripts", "show", "\udcff"), ExitCode.USAGE, "not UTF-8"),
        (("scripts", "show", "x" * 70_000), ExitCode.UNREACHABLE, "URL too long"),
        (("executions", "show", "no-id"), ExitCode.REFUSED, "`crivo executions list` lists"),
        (("executions", "list", "--status", "odd"), ExitCode.REFUSED, "status"),
        (("executions", "list", "--limit", "-1"), ExitCode.USAGE, "--limit"),
        (("scripts", "push", "nothing.js"), ExitCode.USAGE, "nothing.js: No such file"),
        (("scripts", "push", "."), ExitCode.USAGE, "Is a directory"),
        (("scripts", "diff", "a@1", "b@1"), ExitCode.USAGE, "different scripts"),
        (("scripts", "pish"), ExitCode.USAGE, 'Unknown command "pish"'),
        (("--url", "x", "open"), ExitCode.USAGE, "'x' is not the URL of a service"),
        (("open", "--url", "ftp://a"), ExitCode.USAGE, "http://… or https://…"),
        (("open", "--url", "http://a..b"), ExitCode.USAGE, "http://a..b"),
        (("open", "--url", "http://a b"), ExitCode.USAGE, "http://a b"),
        (("open", "--url", "ftp://u:secret@a"), ExitCode.USAGE, "ftp://…@a"),
        (("open", "--url", "http://u:secret@a:x"), ExitCode.USAGE, "http://…@a:x"),
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
    assert "secret" not in done.err
    assert done.err.startswith("crivo: ")


def test_a_service_that_is_away_or_another_has_its_own_code(crivo: CrivoCommand) -> None:
    away = crivo("scripts", "list", CRIVO_URL=f"http://127.0.0.1:{free_port()}")
    with faulty_server() as proxy:
        proxy.faults = [Scripted(headers={"Content-Type": "text/html"}, body=b"<h1>Sign in")]
        other = crivo("scripts", "list", CRIVO_URL=proxy.url)

    assert (away.code, other.code) == (ExitCode.UNREACHABLE, ExitCode.UNREACHABLE)
    assert "Connection refused" in away.err
    assert "text/html" in other.err


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("completion", "bash")])
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
    name = f"endless-{uuid4().hex[:8]}"
    system.upload(name, "function process(_) { for (;;) {} }")
    with crivo.started("run", name, "-", "--wall-ms", "60000") as process:
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


@pytest.mark.parametrize("module", ["httpx", "cyclopts"])
def test_ctrl_c_while_the_command_is_loaded_ends_it_quietly(
    crivo: CrivoCommand, module: str
) -> None:
    # Its import does not end.
    folder = crivo.home / "modules"
    folder.mkdir()
    stuck = "import sys, time\nsys.stderr.write('loading')\nsys.stderr.flush()\ntime.sleep(60)\n"
    (folder / f"{module}.py").write_text(stuck)
    path = f"{folder}{os.pathsep}{crivo.environ['PYTHONPATH']}"
    with crivo.started("scripts", "list", PYTHONPATH=path) as process:
        assert process.stderr is not None
        assert process.stderr.read(7) == b"loading"
        process.send_signal(signal.SIGINT)
        message, code = process.stderr.read(), process.wait(60)

    assert (code, message) == (ExitCode.INTERRUPTED, b"crivo: interrupted\n")


def test_the_exit_codes_are_documented(crivo: CrivoCommand) -> None:
    readme = (ROOT / "client" / "README.md").read_text()
    help_ = crivo("--help").text

    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in readme
        assert f"{code.value:3}  {meaning}\n" in help_
