"""Read the settings from the environment; each error names its variable."""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from app.errors import CrivoError
from app.settings import Settings

_SCHEMES: Final = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": ("redis", "rediss", "unix"),
    "blob_url": ("file", "s3", "gs", "az", "memory"),
}


class InvalidSetting(CrivoError):
    """An environment variable holds a value that its setting does not accept."""


# Settings that a file can hold: everybody who may inspect a container can read its environment.
_FILE_SETTINGS: Final = (*_SCHEMES, "pipe_redis_url", "admin_key")
_MIN_HANG_SECONDS: Final = 20
# Names that other programs use as well, or that are older than the prefix.
_WITHOUT_PREFIX: Final = {*_SCHEMES, "sandbox_isolation", "otel_exporter_otlp_endpoint"}


def variable_of(field: str) -> str:
    """Return the name of a setting's environment variable."""
    return field.upper() if field in _WITHOUT_PREFIX else f"CRIVO_{field.upper()}"


def file_variable_of(field: str) -> str:
    """Return the name of the variable that names a file with the setting's value."""
    return f"{variable_of(field)}_FILE"


def without_files(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment without the variables that name files with the servers' URLs."""
    return {k: v for k, v in environ.items() if k not in map(file_variable_of, _SCHEMES)}


def text_of(field: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return a setting's text from the environment, or from a file that it names; "" if unset.

    Raises InvalidSetting where both are set, and for a file that is unreadable or empty.
    """
    text = environ.get(variable_of(field), "")
    file_variable = file_variable_of(field)
    file = environ.get(file_variable, "") if field in _FILE_SETTINGS else ""
    if not file:
        return text
    if text:
        raise InvalidSetting(f"{variable_of(field)} and {file_variable} are both set")
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"{file_variable}={file!r} cannot be read: {error}") from None
    if not text:
        raise InvalidSetting(f"{file_variable}={file!r} is an empty file")
    return text


def misspelt(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Map each variable that looks like a misspelt setting to the closest setting."""
    settings = {variable_of(field) for field in Settings.__struct_fields__}
    settings |= {file_variable_of(field) for field in _FILE_SETTINGS}
    names = sorted(name for name in environ if name.startswith("CRIVO_") and name not in settings)
    near = {name: difflib.get_close_matches(name, settings, n=1, cutoff=0.8) for name in names}
    return {name: matches[0] for name, matches in near.items() if matches}


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read all settings; an unset or empty variable means the default.

    Raises InvalidSetting for a value outside its range, and for a default limit above the
    maximum that is set for it.
    """
    settings = Settings()
    for field in Settings.__struct_fields__:
        text = text_of(field, environ)
        if not text:
            continue
        try:
            settings = msgspec.convert(
                {**msgspec.structs.asdict(settings), field: text}, Settings, strict=False
            )
        except msgspec.ValidationError as error:
            reason = str(error).split(" - at ")[0]
            raise InvalidSetting(f"{variable_of(field)}={text!r}: {reason}") from None
    if 0 < settings.hang_seconds < _MIN_HANG_SECONDS:
        raise InvalidSetting(f"CRIVO_HANG_SECONDS is 0, or {_MIN_HANG_SECONDS} at least")
    for default, ceiling in (
        ("default_wall_ms", "max_wall_ms"),
        ("default_memory_bytes", "max_memory_bytes"),
    ):
        if getattr(settings, default) > getattr(settings, ceiling):
            raise InvalidSetting(f"{variable_of(default)} is above {variable_of(ceiling)}")
    return settings


def load_service_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of an API or a worker, which need the URLs of their servers.

    Raises InvalidSetting as load_settings does, and for a URL that is missing or has a scheme
    that is not supported.
    """
    settings = load_settings(environ)
    for field, schemes in _SCHEMES.items():
        url = getattr(settings, field)
        if not url:
            raise InvalidSetting(
                f"{variable_of(field)} is not set; ./start.sh sets it for the embedded servers"
            )
        if url.partition("://")[0] not in schemes:
            raise InvalidSetting(f"{variable_of(field)} must begin with {' or '.join(schemes)}://")
    return settings
