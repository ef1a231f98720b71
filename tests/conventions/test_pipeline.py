"""The pipeline of the public host checks what is promised, the way that anybody can."""

import re
import tomllib
from typing import Any, Final

import msgspec
import pytest

from tests.support.servers import ROOT

_TEXT: Final = (ROOT / ".github" / "workflows" / "test.yml").read_bytes()
WORKFLOW: Final[dict[Any, Any]] = msgspec.yaml.decode(_TEXT)
JOBS: Final[dict[str, Any]] = WORKFLOW["jobs"]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_it_runs_on_the_pythons_that_the_project_names() -> None:
    named = [line.rpartition(" :: ")[2] for line in PROJECT["classifiers"]]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert JOBS["servers"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert f"Python {named[0]} or newer" in readme
    assert str(_step(JOBS["embedded"], "setup-python")["with"]["python-version"]) in named


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_what_everybody_runs(name: str) -> None:
    commands = [step["run"] for step in JOBS[name]["steps"] if "run" in step]

    assert commands[-1] == "scripts/test"


def test_one_job_has_servers_and_one_has_none() -> None:
    assert set(JOBS["servers"]["services"]) == {"postgres", "redis"}
    assert {"DATABASE_URL", "REDIS_URL"} == set(JOBS["servers"]["env"])
    assert "services" not in JOBS["embedded"]
    assert "DATABASE_URL" not in JOBS["embedded"]["env"]


def test_the_servers_are_those_of_the_containers() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")

    for service in JOBS["servers"]["services"].values():
        assert f":-{service['image']}}}" in compose


@pytest.mark.parametrize("name", JOBS)
def test_a_job_can_do_little_and_ends(name: str) -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is True
    assert JOBS[name]["timeout-minutes"] <= 60
    assert _step(JOBS[name], "checkout")["with"]["persist-credentials"] is False


def test_actions_are_pinned_by_version() -> None:
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]

    assert used
    assert [name for name in used if not re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", name)] == []


def _step(job: dict[str, Any], action: str) -> dict[str, Any]:
    (step,) = [step for step in job["steps"] if f"/{action}@" in step.get("uses", "")]
    return dict(step)
