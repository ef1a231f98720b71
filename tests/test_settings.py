"""Settings are read from the environment and validated; errors name the variable."""

from pathlib import Path

import pytest

from app.environment import (
    InvalidSetting,
    load_service_settings,
    load_settings,
    misspelt,
    variable_of,
)
from app.settings import Settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({"CRIVO_PORT": ""}) == Settings()


def test_each_setting_has_its_variable() -> None:
    assert variable_of("database_url") == "DATABASE_URL"
    assert variable_of("port") == "CRIVO_PORT"
    assert load_settings({"CRIVO_PORT": "9000", "REDIS_URL": "redis://r"}) == Settings(
        port=9000, redis_url="redis://r"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRIVO_PORT", "0"),
        ("CRIVO_PORT", "65536"),
        ("CRIVO_PORT", "http"),
        ("CRIVO_PORT", "80.5"),
        ("CRIVO_LOG_LEVEL", "loud"),
        ("CRIVO_MAX_WALL_MS", "300001"),
        ("CRIVO_MAX_INPUT_BYTES", "268435457"),
        ("CRIVO_DEFAULT_MEMORY_BYTES", "1"),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_variables_name(variable: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{variable}='{value}'"):
        load_settings({variable: value})


def test_a_default_above_its_ceiling_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="CRIVO_DEFAULT_WALL_MS is above CRIVO_MAX_WALL_MS"):
        load_settings({"CRIVO_MAX_WALL_MS": "100"})


@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_URL", "BLOB_URL"])
@pytest.mark.parametrize("value", ["", "http://somewhere"])
def test_a_service_requires_the_url_of_each_server(missing: str, value: str) -> None:
    urls = {"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://r", "BLOB_URL": "file:///b"}

    assert load_service_settings(urls).redis_url == "redis://r"
    with pytest.raises(InvalidSetting, match=missing):
        load_service_settings({**urls, missing: value})


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("redis://:secret@r\n")

    assert load_settings({"REDIS_URL_FILE": str(file)}).redis_url == "redis://:secret@r"
    assert misspelt({"CRIVO_ADMIN_KEY_FILE": str(file)}) == {}
    with pytest.raises(InvalidSetting, match="REDIS_URL and REDIS_URL_FILE are both set"):
        load_settings({"REDIS_URL_FILE": str(file), "REDIS_URL": "redis://r"})
    with pytest.raises(InvalidSetting, match=r"DATABASE_URL_FILE=.* cannot be read"):
        load_settings({"DATABASE_URL_FILE": str(tmp_path / "none")})
    file.write_text("\n")
    with pytest.raises(InvalidSetting, match=r"CRIVO_ADMIN_KEY_FILE=.* is an empty file"):
        load_settings({"CRIVO_ADMIN_KEY_FILE": str(file)})


@pytest.mark.parametrize("seconds", ["1", "19"])
def test_the_hang_limit_exceeds_the_heartbeat_interval(seconds: str) -> None:
    with pytest.raises(InvalidSetting, match="CRIVO_HANG_SECONDS is 0, or 20 at least"):
        load_settings({"CRIVO_HANG_SECONDS": seconds})
    assert load_settings({"CRIVO_HANG_SECONDS": "0"}).hang_seconds == 0


def test_a_misspelt_variable_is_found_and_others_are_ignored() -> None:
    environ = {
        "CRIVO_PROT": "9000",
        "CRIVO_WORKERS_SLOTS": "4",
        "CRIVO_PORT": "8000",
        "CRIVO_DATABASE_PASSWORD": "for the containers",
        "CRIVO_POSTGRES_IMAGE": "postgres:18",
        "PORT": "1",
    }

    assert misspelt(environ) == {
        "CRIVO_PROT": "CRIVO_PORT",
        "CRIVO_WORKERS_SLOTS": "CRIVO_WORKER_SLOTS",
    }
