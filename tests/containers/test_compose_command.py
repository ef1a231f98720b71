"""./start.sh compose decides about keys, passwords and settings before Docker runs.

The engine is a stand-in that records its arguments, since not every machine has a real one.
`test_composed_system.py` uses a real one if it responds.
"""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from app.keys.model import new_key
from tests.support.servers import ROOT

_ENGINE: Final = """#!/bin/sh
{ printf '%s ' "$@"; echo; } >>"$ENGINE/calls"
env >"$ENGINE/environ"
case "$*" in
    'info '*) echo 4 ;;
    'volume inspect '*) [ -e "$ENGINE/volume" ] ;;
    'image inspect '*) ;;
    *'app.main --check'*) exit "$(cat "$ENGINE/check" 2>/dev/null || echo 2)" ;;
    *'healthcheck access'*) cat "$ENGINE/access" 2>/dev/null || echo open ;;
    *' ps '*) cat "$ENGINE/health" 2>/dev/null || true ;;
esac
"""


class Engine:
    """A `docker` on PATH, and a copy of the two scripts in an empty project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.data = folder / "data"
        for name in ("start.sh", "scripts/compose"):
            copy = self.project / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
            copy.chmod(0o755)
        docker = folder / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(_ENGINE)
        docker.chmod(0o755)

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.project / "start.sh"), "compose", *arguments],
            check=False,
            capture_output=True,
            encoding="utf-8",
            env={
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "ENGINE": str(self.folder),
                "CRIVO_DATA": str(self.data),
                **environ,
            },
        )

    def set_state(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    @property
    def environ(self) -> dict[str, str]:
        lines = (self.folder / "environ").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def secret(self, name: str) -> str:
        return (self.data / "secrets" / name).read_text()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "[::]", "192.0.2.1"])  # noqa: S104 - refused
def test_a_port_open_to_the_network_needs_a_key(engine: Engine, bind: str) -> None:
    refusal = _refusal(engine.run(CRIVO_BIND=bind))

    assert "there is no key" in refusal
    assert "./start.sh compose admin key create --all" in refusal
    assert not any(" up " in call for call in engine.calls)
    assert engine.run(CRIVO_BIND=bind, CRIVO_ADMIN_KEY=new_key()).returncode == 0
    assert engine.run(CRIVO_BIND=bind, CRIVO_INSECURE_LISTEN="true").returncode == 0


def test_with_a_database_the_api_checks_whether_there_is_a_key(engine: Engine) -> None:
    assert engine.run().returncode == 0
    engine.set_state("volume")

    engine.set_state("check", "2")
    assert "there is no key" in _refusal(engine.run(CRIVO_BIND="0.0.0.0"))  # noqa: S104 - refused
    engine.set_state("check", "0")
    assert engine.run(CRIVO_BIND="0.0.0.0").returncode == 0  # noqa: S104 - with a key


def test_ipv6_addresses_are_passed_without_brackets(
    engine: Engine,
) -> None:
    done = engine.run(CRIVO_BIND="[::]", CRIVO_ADMIN_KEY=new_key())

    assert engine.environ["CRIVO_BIND"] == "::"
    assert "  API   http://[::1]:8000\n" in done.stdout


def test_missing_passwords_are_one_line_with_a_remedy(engine: Engine) -> None:
    engine.set_state("volume")

    refusal = _refusal(engine.run())
    assert "crivo_database" in refusal
    assert "./start.sh compose new-passwords" in refusal
    assert engine.run("new-passwords").returncode == 0
    assert engine.secret("database_password") in engine.secret("database_url")
    assert engine.run().returncode == 0


def test_passwords_of_an_older_release_are_kept(engine: Engine) -> None:
    engine.set_state("volume")
    engine.data.mkdir()
    (engine.data / "compose.env").write_text("CRIVO_DATABASE_PASSWORD=abc\nCRIVO_WORKER_CPUS=1\n")

    assert engine.run().returncode == 0
    assert engine.secret("database_password") == "abc"
    assert not (engine.data / "compose.env").exists()


def test_passwords_are_removed_with_their_volumes(engine: Engine) -> None:
    engine.run()
    engine.run("down")
    assert engine.secret("database_password")

    engine.run("down", "--volumes")

    assert not (engine.data / "secrets").exists()


def test_a_key_is_passed_as_a_file(engine: Engine) -> None:
    key = new_key()
    (engine.folder / "key").write_text(f"{key}\n")

    for environ in (
        {"CRIVO_ADMIN_KEY": key},
        {"CRIVO_ADMIN_KEY": str(engine.folder / "key")},
        {"CRIVO_ADMIN_KEY_FILE": str(engine.folder / "key")},
    ):
        assert engine.run(**environ).returncode == 0
        assert engine.secret("admin_key") == key
        assert "CRIVO_ADMIN_KEY_FILE" not in engine.environ
    assert engine.run().returncode == 0
    assert engine.secret("admin_key") == ""
    assert "neither a key nor a file" in _refusal(engine.run(CRIVO_ADMIN_KEY="no such file"))


def test_the_printed_commands_name_the_key_if_one_is_needed(engine: Engine) -> None:
    key = '-H "Authorization: Bearer $CRIVO_KEY"'
    assert engine.run().stdout.count(key) == 0

    engine.set_state("access", "keys")

    assert engine.run().stdout.count(f"curl -s {key} ") == 3


@pytest.mark.parametrize(("health", "subcommand"), [("healthy", " exec "), ("", " run ")])
def test_admin_works_whether_the_api_runs_or_not(
    engine: Engine, health: str, subcommand: str
) -> None:
    engine.set_state("health", health)

    assert engine.run("admin", "key", "list").returncode == 0

    assert subcommand in engine.calls[-1]
    assert engine.calls[-1].endswith(" api python -m app.cli.admin key list ")


def test_settings_come_from_a_file_after_the_environment(engine: Engine) -> None:
    (engine.project / ".env").write_text(
        "# a comment\nCRIVO_PORT=8123 # why\nCRIVO_WORKERS='3'\r\nCRIVO_LOG_LEVEL=\"debug\"\n"
        "not a setting\nCRIVO_BIND=127.0.0.2"
    )

    output = engine.run(CRIVO_LOG_LEVEL="error").stdout

    assert "  API   http://127.0.0.2:8123\n" in output
    assert engine.environ["CRIVO_WORKERS"] == "3"
    # Four processors for three workers.
    assert engine.environ["CRIVO_WORKER_SLOTS"] == "2"
    assert engine.environ["CRIVO_LOG_LEVEL"] == "error"
