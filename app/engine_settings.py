"""Declare the setting of the engine that runs parts of runs; app.settings includes it."""

from typing import Annotated

from msgspec import Meta

from app.quota_settings import QuotaSettings


class EngineSettings(QuotaSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the parts of runs are run beside the worker's own slots."""

    engine: Annotated[
        str,
        Meta(
            description="where a worker lets parts of runs run beside its own slots: `local`: "
            "nowhere else; `dask://scheduler:8786`, or `tls://` for one with TLS: on the workers "
            "of a Dask cluster, which needs `requirements-dask.lock`",
            pattern=r"^(local|(dask|tls)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5})$(?!\n)",
        ),
    ] = "local"
