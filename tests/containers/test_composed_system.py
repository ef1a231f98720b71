"""The system runs in containers, built by a real engine if one responds."""

import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.launcher_process import free_port
from tests.support.servers import ROOT
from tests.support.system import until

_BASES: Final = (
    ("CRIVO_PYTHON_IMAGE", "python:3.13-slim"),
    ("CRIVO_POSTGRES_IMAGE", "postgres:18"),
    ("CRIVO_REDIS_IMAGE", "redis:8"),
)
_PULL_SECONDS: Final = 300
# In force on every engine; the others depend on it.
_ALWAYS_ON: Final = {
    "parent_death_signal",
    "not_dumpable",
    "empty_environment",
    "no_new_privileges",
    "first_out_of_memory",
    "resource_limits",
}
_CONFINEMENT: Final = """
import errno, json, os, pathlib, shutil
def refusal(path):
    try:
        pathlib.Path(path).touch()
    except OSError as error:
        return errno.errorcode[error.errno]
lines = pathlib.Path("/proc/1/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines)
print(json.dumps({
    "user": os.getuid(),
    "root": refusal("/x"),
    "own": refusal("/opt/crivo/x"),
    "tmp": refusal("/tmp/x"),
    "capabilities": int(status["CapBnd"], 16) | int(status["CapEff"], 16),
    "no_new_privileges": status["NoNewPrivs"],
    "seccomp": status["Seccomp"],
    "compilers": [name for name in ("cc", "gcc", "make") if shutil.which(name)],
}))
"""


class Composed:
    """One project of the engine, separate from others on this machine."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.image = f"crivo:test-{secrets.token_hex(4)}"
        bases = {name for name, _ in _BASES}
        kept = {k: v for k, v in os.environ.items() if k in bases or not k.startswith("CRIVO_")}
        self.environ = kept | {
            "CRIVO_DATA": str(data),
            "CRIVO_IMAGE": self.image,
            "CRIVO_PORT": str(self.port),
            # Longer than any pause of a busy machine, so that no lease is lost.
            "CRIVO_LEASE_SECONDS": "60",
            "COMPOSE_PROJECT_NAME": self.image.replace(":", "-"),
        }

    def run(self, *arguments: str) -> str:
        """Run `./start.sh compose` with arguments, which must succeed."""
        done = self.start(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `./start.sh compose` with arguments."""
        return subprocess.run(
            [str(ROOT / "start.sh"), "compose", *arguments],
            check=False,
            capture_output=True,
            encoding="utf-8",
            env=self.environ,
        )

    def get(self, path: str) -> dict[str, Any]:
        answer = httpx.get(self.url + path)
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    system = Composed(tmp_path / "data")
    try:
        yield system
    finally:
        system.run("down", "--volumes", "--timeout", "5")
        _docker("image", "rm", "--force", system.image)


@pytest.mark.timeout(1_500)
def test_the_composed_system_does_the_use_case_and_survives_its_worker(composed: Composed) -> None:
    said = composed.run("up")
    assert f"API   {composed.url}\n" in said
    assert said.count("curl -s") == 3
    _expect_private_secrets(composed)
    _expect_confinement(composed)
    _expect_lockdown(composed)
    _expect_loopback_only(composed)
    _expect_the_use_case(composed)
    _expect_that_work_waits_for_a_worker(composed)
    _expect_the_network_to_need_a_key(composed)
    _expect_a_way_back_to_lost_passwords(composed)
    _expect_a_clean_stop(composed)


def _expect_private_secrets(composed: Composed) -> None:
    folder = composed.data / "secrets"

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(composed.data.stat().st_mode) == 0o700
    passwords = [(folder / f"{name}_password").read_text() for name in ("database", "redis")]
    assert len(set(passwords)) == 2
    containers = composed.run("ps", "--all", "--quiet").split()
    assert len(containers) == 5
    shown = _output("inspect", *containers)
    assert [each for each in passwords if each in shown] == []


def _expect_confinement(composed: Composed) -> None:
    for service in ("api", "worker"):
        found = composed.run("exec", "-T", service, "python", "-c", _CONFINEMENT)
        assert json.loads(found) == {
            "user": 10001,
            "root": "EROFS",
            "own": "EROFS",
            "tmp": None,
            "capabilities": 0,
            "no_new_privileges": "1",
            "seccomp": "2",
            "compilers": [],
        }


def _expect_lockdown(composed: Composed) -> None:
    ready = composed.get("/health/ready")

    assert ready["ready"] is True
    assert len(ready["workers"]) == 1
    for lockdown in (ready["lockdown"], ready["workers"][0]["lockdown"]):
        assert {name for name, state in lockdown.items() if state == "on"} >= _ALWAYS_ON
        assert lockdown["own_user"] == "off: not started as root"


def _expect_loopback_only(composed: Composed) -> None:
    assert composed.run("port", "api", "8000").strip() == f"127.0.0.1:{composed.port}"


def _expect_the_use_case(composed: Composed) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli.demo", composed.url],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "client" / "src")},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.endswith("demo: result as expected\n"), done.stdout + done.stderr


def _expect_that_work_waits_for_a_worker(composed: Composed) -> None:
    composed.run("stop", "worker")
    # It exited by itself in time: a kill would be 137.
    assert _exit_codes(composed)["worker"] == "0"
    accepted = httpx.post(f"{composed.url}/scripts/cards-demo/executions", content=b"[]")
    assert accepted.status_code == 202
    location = accepted.headers["Location"]
    assert composed.get(location)["status"] == "queued"

    composed.run("up")
    composed.run("kill", "--signal", "SIGKILL", "worker")
    composed.run("up")

    for _ in until("the execution has finished"):
        execution = composed.get(location)
        if execution["finished_at"] is not None:
            assert execution["status"] == "succeeded"
            assert execution["result"] == []
            return


def _expect_the_network_to_need_a_key(composed: Composed) -> None:
    composed.environ["CRIVO_BIND"] = "0.0.0.0"  # noqa: S104 - it is refused
    refused = composed.start()
    assert refused.returncode == 2
    assert refused.stderr.startswith("crivo: CRIVO_BIND=0.0.0.0 opens the API to the network")
    assert refused.stderr.count("\n") == 1
    # The running system continues.
    assert composed.get("/health/live") == {"live": True}

    key = composed.run("admin", "key", "create", "--all").strip()
    assert key.startswith("crv_")
    said = composed.run("up")
    assert said.count('-H "Authorization: Bearer $CRIVO_KEY"') == 3
    found = [
        httpx.get(f"{composed.url}/scripts", headers=headers).status_code
        for headers in ({}, {"Authorization": f"Bearer {key}"})
    ]
    assert found == [401, 200]


def _expect_a_way_back_to_lost_passwords(composed: Composed) -> None:
    (composed.data / "secrets").rename(composed.data / "elsewhere")
    refused = composed.start()
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "./start.sh compose new-passwords" in refused.stderr
    composed.run("new-passwords")
    composed.run("up")


def _expect_a_clean_stop(composed: Composed) -> None:
    composed.run("stop")
    assert set(_exit_codes(composed).values()) == {"0"}


def _exit_codes(composed: Composed) -> dict[str, str]:
    lines = composed.run("ps", "--all", "--format", "{{.Service}} {{.ExitCode}}").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def _output(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments],  # noqa: S607 - the docker of PATH, as in start.sh
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout


def _why_not() -> str:
    """Return what this machine lacks for the test; empty if nothing."""
    if shutil.which("docker") is None:
        return "there is no docker on PATH"
    if not _docker("compose", "version"):
        return "docker has no compose plugin"
    if not _docker("info"):
        return "no Docker engine answers"
    for variable, usual in _BASES:
        image = os.environ.get(variable, usual)
        if not _docker("image", "inspect", image) and not _docker("pull", "--quiet", image):
            return f"the base image {image} cannot be had"
    return ""


def _docker(*arguments: str) -> bool:
    """Return whether a docker command succeeds."""
    try:
        done = subprocess.run(
            ["docker", *arguments],  # noqa: S607 - the docker of PATH, as in start.sh
            check=False,
            capture_output=True,
            timeout=_PULL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
