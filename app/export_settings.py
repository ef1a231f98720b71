"""Declare the settings of exports, which are part of all settings."""

from typing import Annotated, Final

from msgspec import Meta

from app.dataset_settings import DatasetSettings
from app.limits import GIB, MIB

_MAX_DAYS: Final = 36_500


class ExportSettings(DatasetSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker gives to exports, and how long their files are kept."""

    export_tasks: Annotated[
        int,
        Meta(
            description="tasks of exports that one worker runs at once, beside its slots; 0: none",
            ge=0,
            le=64,
        ),
    ] = 1
    export_memory_bytes: Annotated[
        int,
        Meta(
            description="memory of each; what needs more goes to `CRIVO_EXPORT_FOLDER`",
            ge=128 * MIB,
        ),
    ] = 1 * GIB
    export_threads: Annotated[
        int,
        Meta(
            description="threads of each, at most one for each 128 MiB of its memory; "
            "0: one for each core",
            ge=0,
            le=1_024,
        ),
    ] = 0
    export_folder: Annotated[
        str,
        Meta(
            description="folder on a disk of the worker for what a task reads, sorts and writes; "
            "empty: the folder `exports` of the data folder"
        ),
    ] = ""
    export_disk_bytes: Annotated[
        int,
        Meta(
            description="what each may write to its folder; 0: 4 GiB and eight times what it "
            "reads. In any case at most half of what the disk has free beyond a reserve",
            ge=0,
        ),
    ] = 0
    export_task_seconds: Annotated[
        int,
        Meta(description="how long each may compute; one reads up to 8 GiB of records", ge=1),
    ] = 3_600
    keep_export_files_days: Annotated[
        int,
        Meta(
            description="days after which the files of an export that are kept here are deleted; "
            "0: never",
            ge=0,
            le=_MAX_DAYS,
        ),
    ] = 30
