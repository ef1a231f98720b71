"""Dockerfile, compose.yaml and .dockerignore keep their promises, as far as files show."""

import json
import re
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # PyYAML has no types; only plain data is read

from app.embedded import launcher
from app.embedded.allocator import ALLOCATOR_ENVIRONMENT
from app.environment import variable_of
from app.settings import Settings
from tests.support.servers import ROOT

COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
# Continued lines joined and comments removed: one instruction per line.
DOCKERFILE: Final = [
    line
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    if line and not line.startswith("#")
]


def _instructions(name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in DOCKERFILE if line.split()[0] == name]


def _conditions(service: str) -> dict[str, str]:
    needs = SERVICES[service].get("depends_on", {})
    return {name: need["condition"] for name, need in needs.items()}


def test_compose_has_the_services_of_the_system() -> None:
    assert set(SERVICES) == {"database", "redis", "migrate", "api", "worker"}
    assert set(COMPOSE["volumes"]) == {"database", "redis", "blobs", "exports"}


def test_services_wait_for_health_and_the_migration() -> None:
    after_migration = {
        "migrate": "service_completed_successfully",
        "database": "service_healthy",
        "redis": "service_healthy",
    }

    assert _conditions("migrate") == {"database": "service_healthy"}
    assert _conditions("api") == after_migration
    assert _conditions("worker") == after_migration


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_few_privileges(service: str) -> None:
    described = SERVICES[service]

    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    forbidden = {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"}
    assert forbidden & set(described) == set()
    assert "docker.sock" not in json.dumps(described)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_limits(service: str) -> None:
    limits = SERVICES[service]["deploy"]["resources"]["limits"]

    assert {"memory", "cpus", "pids"} == set(limits)


@pytest.mark.parametrize("service", SERVICES)
def test_services_restart_and_have_health_checks(service: str) -> None:
    described = SERVICES[service]

    if service == "migrate":
        assert described["restart"] == "no"
        assert described["healthcheck"] == {"disable": True}
    else:
        assert described["restart"] == "unless-stopped"
        # The API's health check is the image's own.
        assert service == "api" or described["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_only_the_api_is_published_by_default_on_loopback() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}

    port = {"host_ip": "${CRIVO_BIND:-127.0.0.1}", "published": "${CRIVO_PORT:-8000}"}
    assert published == {"api": [{**port, "target": 8000}]}


def test_the_api_gets_the_address_of_its_published_port() -> None:
    environ = SERVICES["api"]["environment"]

    assert environ["CRIVO_BIND"] == SERVICES["api"]["ports"][0]["host_ip"]
    # Passed on only if it is set.
    assert environ["CRIVO_INSECURE_LISTEN"] is None


def test_workers_have_no_outside_network() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    outside = {name for name, each in SERVICES.items() if "outside" in each["networks"]}
    assert outside == {"api"}


def test_postgresql_stores_data_where_its_image_18_does() -> None:
    assert SERVICES["database"]["image"].endswith("postgres:18}")
    assert SERVICES["database"]["volumes"] == ["database:/var/lib/postgresql"]


def test_api_and_worker_share_the_blobs() -> None:
    (blob_url,) = re.findall(r"BLOB_URL=file://(\S+)", "\n".join(DOCKERFILE))
    assert SERVICES["api"]["volumes"] == [f"blobs:{blob_url}"]
    folder = SERVICES["worker"]["environment"]["CRIVO_EXPORT_FOLDER"]
    assert SERVICES["worker"]["volumes"] == [f"blobs:{blob_url}", f"exports:{folder}"]
    assert f"/var/lib/crivo/blobs {folder}" in "\n".join(DOCKERFILE)


@pytest.mark.parametrize("chosen", [None, 0, 600])
def test_a_worker_is_killed_only_after_its_grace_period(chosen: int | None) -> None:
    grace_seconds = Settings().grace_seconds if chosen is None else chosen

    def value(match: re.Match[str]) -> str:
        assert match["name"] == "CRIVO_GRACE_SECONDS"
        return match["default"] if chosen is None else str(chosen)

    period = re.sub(
        r"\$\{(?P<name>\w+):-(?P<default>\d+)\}", value, SERVICES["worker"]["stop_grace_period"]
    )

    assert re.fullmatch(r"(\d+[hms])+", period)
    units = {"h": 3_600, "m": 60, "s": 1}
    seconds = sum(int(many) * units[unit] for many, unit in re.findall(r"(\d+)([hms])", period))
    # At least what the launcher adds to the grace period.
    assert seconds >= grace_seconds + launcher._RELEASE_SECONDS


def test_passwords_and_keys_are_files() -> None:
    for described in SERVICES.values():
        environ = described.get("environment", {})
        secret = [name for name in environ if re.search("PASSWORD|_URL|KEY", name)]
        assert all(name.endswith("_FILE") for name in secret if "OTEL_" not in name)
        files = re.findall(r"/run/secrets/(\w+)", json.dumps(described))
        assert set(files) <= set(described["secrets"])
    assert set(COMPOSE["secrets"]) == {
        each for described in SERVICES.values() for each in described["secrets"]
    }


@pytest.mark.parametrize("service", SERVICES)
def test_the_log_of_a_container_is_bounded(service: str) -> None:
    options = SERVICES[service]["logging"]["options"]

    assert set(options) == {"max-size", "max-file"}


def test_every_variable_of_the_example_is_read() -> None:
    known = {variable_of(field) for field in Settings.__struct_fields__}
    known |= set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    named = re.findall(
        r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert "CRIVO_WORKERS" in named
    assert set(named) <= known


def test_every_setting_reaches_the_containers() -> None:
    settings = {variable_of(field) for field in Settings.__struct_fields__}
    named = set(SERVICES["api"]["environment"]) | set(SERVICES["worker"]["environment"])
    given = {name.removesuffix("_FILE") for name in named}

    # The image sets the place of blobs; without embedded servers there is no data folder.
    others = {"HTTPS_PROXY", "NO_PROXY", "AWS_REGION", "AWS_SHARED_CREDENTIALS"}
    assert given - others == settings - {"BLOB_URL", "CRIVO_DATA"}
    assert "BLOB_URL=" in "\n".join(DOCKERFILE)


def test_the_image_runs_as_a_fixed_ordinary_user() -> None:
    (user,) = _instructions("USER")

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    # No later instruction changes the user back.
    assert DOCKERFILE.index(f"USER {user}") > max(
        number for number, line in enumerate(DOCKERFILE) if line.startswith(("RUN", "COPY", "FROM"))
    )


def test_the_image_starts_without_a_shell() -> None:
    (command,) = _instructions("CMD")
    (check,) = _instructions("HEALTHCHECK")
    commands = [SERVICES[name]["command"] for name in ("migrate", "worker")]

    assert json.loads(command)[0] == "python"
    assert json.loads(check.partition(" CMD ")[2])[0] == "python"
    assert all(each[0] == "python" for each in commands)
    assert _instructions("STOPSIGNAL") == ["SIGTERM"]


def test_the_image_is_built_from_hashed_wheels_in_its_own_stage() -> None:
    first, last = _instructions("FROM")
    (install,) = [line for line in DOCKERFILE if " install " in line and "pip" in line.split()]

    assert first == "${PYTHON_IMAGE} AS build"
    assert last == "${PYTHON_IMAGE}"
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install
    assert "--requirement ${REQUIREMENTS}" in install
    assert _instructions("ARG")[-1] == "REQUIREMENTS=requirements-server.lock"
    assert DOCKERFILE.index(install) < DOCKERFILE.index("FROM ${PYTHON_IMAGE}")


def test_only_files_of_the_image_are_sent_to_the_engine() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    locks = {f"requirements-{name}.lock" for name in ("server", "otel", "dask", "sqs")}
    assert sent == {"app", "migrations", "pyproject.toml", *locks}
    assert rules[-1] == "**/__pycache__"


def test_the_image_tunes_the_allocator_as_the_launcher_does() -> None:
    text = "\n".join(DOCKERFILE)

    assert dict(re.findall(r"(MALLOC_\w+)=(\d+)", text)) == ALLOCATOR_ENVIRONMENT
