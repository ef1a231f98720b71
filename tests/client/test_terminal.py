"""The command line in a pseudo-terminal: tables, progress, prompts, Ctrl-C."""

import json
import os
import re
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from app.auth.model import Scope
from crivo.cli.exit_codes import ExitCode
from tests.support.crivo_command import CrivoCommand
from tests.support.system import CARDS, System, free_port
from tests.support.system_with_keys import SystemWithKeys

ENDLESS = b"function process(_) { for (;;) {} }"
MIB = 1024 * 1024


def login_file(crivo: CrivoCommand) -> Path:
    return crivo.home / ".config" / "crivo" / "login.json"


def test_a_list_on_a_terminal_is_a_table(crivo: CrivoCommand, system: System) -> None:
    name = f"in-a-table-{uuid4().hex[:8]}"
    system.upload(name, (CARDS / "script.js").read_bytes())

    shown = crivo.in_terminal("scripts", "list", "--name", name, NO_COLOR="1").text

    # NO_COLOR leaves bold type.
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert re.search(r"name +latest +updated", shown)
    assert re.search(rf"{name} +1 +\d{{4}}-", shown)


def test_an_id_in_a_narrow_table_can_be_copied(crivo: CrivoCommand, system: System) -> None:
    name = f"narrow-{uuid4().hex[:8]}"
    system.upload(name, b"function process(data) { return data }")
    location = system.submit(name, b"1")

    shown = crivo.in_terminal("executions", "list", "--script", name, COLUMNS="60").text

    assert location.removeprefix("/executions/") in shown


def test_progress_is_shown_on_a_terminal_only(crivo: CrivoCommand, system: System) -> None:
    system.upload("shows-progress", b"function process(data) { return data.length }")
    (crivo.home / "large.json").write_bytes(b'"' + b"x" * (4 * MIB) + b'"')

    shown = crivo.in_terminal("run", "shows-progress", "large.json")
    piped = crivo("run", "shows-progress", "large.json")

    assert shown.code == 0
    assert b"uploading" in shown.out
    assert b"execution " in shown.out
    assert shown.out.rstrip().endswith(b"4194304")
    assert (piped.out, piped.err) == (b"4194304", "")


def test_what_a_script_returns_cannot_control_a_terminal(
    crivo: CrivoCommand, system: System
) -> None:
    name = f"controls-{uuid4().hex[:8]}"
    system.upload(name, "function process(_) { return '\\u009b2J\\u202e' }  // \x1b[2J\n")
    (crivo.home / "data.json").write_text("1")

    shown = crivo.in_terminal("run", name, "data.json")
    source = crivo.in_terminal("scripts", "source", name)
    piped = crivo("run", name, "data.json")

    assert shown.text.splitlines()[-1].endswith('"\\x9b2J\\u202e"')
    assert b"\x1b" not in source.out
    assert piped.out == '"\u009b2J\u202e"'.encode()


def test_colours_are_off_where_they_are_not_wanted(crivo: CrivoCommand) -> None:
    coloured = crivo.in_terminal("run", "missing", "nothing.json").out
    plain = crivo.in_terminal("run", "missing", "nothing.json", NO_COLOR="1").out

    assert b"\x1b[31m" in coloured
    assert b"\x1b[31m" not in plain


def test_data_can_be_typed(crivo: CrivoCommand, system: System) -> None:
    name = f"typed-{uuid4().hex[:8]}"
    system.upload(name, b"function process(data) { return data + 1 }")

    with crivo.terminal("run", name, "-") as terminal:
        terminal.until(lambda shown: b"Ctrl-D ends it" in shown)
        terminal.types("41\n\x04")
        done = terminal.end()

    assert done.code == 0
    assert done.text.rstrip().endswith("42")


def test_ctrl_c_ends_the_waiting_and_clears_the_progress(
    crivo: CrivoCommand, system: System
) -> None:
    system.upload("endless-on-a-terminal", ENDLESS)
    (crivo.home / "data.json").write_text("1")

    with crivo.terminal(
        "run", "endless-on-a-terminal", "data.json", "--wall-ms", "60000"
    ) as terminal:
        terminal.until(lambda shown: b"execution " in shown)
        terminal.interrupts()
        done = terminal.end()

    identifier = re.findall(r"execution ([0-9a-f-]{36}) goes on", done.text)[0]
    assert done.code == ExitCode.INTERRUPTED
    assert done.text.rstrip().endswith("crivo: interrupted")
    assert crivo("executions", "cancel", identifier).code == 0


def test_login_asks_for_the_key_and_keeps_it_to_its_owner(
    crivo: CrivoCommand, keyed: SystemWithKeys
) -> None:
    with crivo.terminal("login", keyed.system.url, CRIVO_URL="") as terminal:
        terminal.until(lambda shown: b"API key" in shown)
        terminal.types(f"{keyed.admin_key}\n")
        done = terminal.end()

    assert done.code == 0, done.text
    assert keyed.admin_key not in done.text
    assert stat.S_IMODE(login_file(crivo).stat().st_mode) == 0o600
    assert stat.S_IMODE(login_file(crivo).parent.stat().st_mode) == 0o700
    assert crivo("scripts", "list", CRIVO_URL="").code == 0
    # The key goes to no URL but its own, and arguments come before the environment.
    assert crivo("scripts", "list").code == 0
    named = crivo("scripts", "list", "--url", f"{keyed.system.url}/", CRIVO_URL="http://a.invalid")
    assert named.code == 0, named.err
    wrong = crivo("scripts", "list", CRIVO_URL="", CRIVO_KEY="crv_wrong")
    assert (wrong.code, "`crivo login` keeps a key" in wrong.err) == (ExitCode.REFUSED, True)
    assert crivo("logout").code == 0
    assert not login_file(crivo).exists()
    assert crivo("scripts", "list", CRIVO_URL=keyed.system.url).code == ExitCode.REFUSED


def test_login_reads_the_key_from_a_pipe(crivo: CrivoCommand, keyed: SystemWithKeys) -> None:
    secret = f"{keyed.admin_key}\n".encode()
    folder = str(crivo.home / "elsewhere")

    done = crivo("login", keyed.system.url, "--json", stdin=secret, XDG_CONFIG_HOME=folder)

    assert json.loads(done.out)["file"] == f"{folder}/crivo/login.json"
    assert keyed.admin_key not in done.text + done.err
    assert crivo("login", keyed.system.url, stdin=b"").code == ExitCode.USAGE


@pytest.mark.parametrize("key", ["crv_wrong", "not a key"])
def test_a_wrong_key_is_not_kept(crivo: CrivoCommand, keyed: SystemWithKeys, key: str) -> None:
    done = crivo("login", keyed.system.url, stdin=key.encode())

    assert done.code in {ExitCode.REFUSED, ExitCode.USAGE}
    assert key not in done.err
    assert not login_file(crivo).exists()


def test_an_open_service_needs_no_key(crivo: CrivoCommand, system: System) -> None:
    assert crivo("login", system.url).code == 0
    assert json.loads(login_file(crivo).read_text())["key"] is None


def test_a_service_that_is_away_is_not_kept(crivo: CrivoCommand) -> None:
    done = crivo("login", f"http://127.0.0.1:{free_port()}")

    assert done.code == ExitCode.UNREACHABLE
    assert not login_file(crivo).exists()


def test_a_login_that_others_can_read_or_that_is_damaged_is_refused(
    crivo: CrivoCommand, system: System
) -> None:
    crivo("login", system.url)
    login_file(crivo).chmod(0o644)

    assert "chmod 600" in crivo("scripts", "list").err

    os.truncate(login_file(crivo), 5)
    login_file(crivo).chmod(0o600)
    for _ in range(2):
        damaged = crivo("scripts", "list")
        assert (damaged.code, "is damaged" in damaged.err) == (ExitCode.USAGE, True)
        login_file(crivo).write_bytes(b'{"url":"\xff"}')
    assert crivo("login", system.url).code == 0
    assert crivo("scripts", "list", CRIVO_URL="").code == 0


def test_a_key_that_cannot_read_is_kept_too(crivo: CrivoCommand, keyed: SystemWithKeys) -> None:
    key = keyed.key("default", [Scope.WRITE_EXECUTIONS]).key

    assert crivo("login", keyed.system.url, stdin=key.encode()).code == 0
