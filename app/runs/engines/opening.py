"""Open the engine that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import UUID

from app.errors import CrivoError
from app.resources import Resources
from app.runs.engines.requirements import Requirements
from app.settings import Settings

if TYPE_CHECKING:
    from app.runs.engines.dask import DaskEngine


class EngineNotInstalled(CrivoError):
    """An engine is configured, but its packages are not installed."""


def require_engine_packages(settings: Settings) -> None:
    """Raise EngineNotInstalled where an engine is configured without its packages."""
    if settings.engine == "local":
        return
    try:
        import_module("distributed")
    except ModuleNotFoundError as error:
        raise EngineNotInstalled(
            f"CRIVO_ENGINE is set, and there is no {error.name}: "
            "install requirements-dask.lock, too"
        ) from None


@asynccontextmanager
async def open_engine(resources: Resources, worker: UUID) -> "AsyncIterator[DaskEngine | None]":
    """Use the engine of the settings for the length of the block; None: the worker's own alone."""
    settings = resources.settings
    if settings.engine == "local":
        yield None
        return
    # Imported here: the packages are optional, and slow to import.
    from app.runs.engines.dask import open_dask_engine  # noqa: PLC0415

    requirements = Requirements(
        v8_version=resources.sandbox.v8_version,
        without_seccomp=settings.sandbox_without_seccomp,
    )
    async with open_dask_engine(
        settings.engine, worker=worker, requirements=requirements
    ) as engine:
        yield engine
