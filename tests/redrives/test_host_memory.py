"""A worker without memory is no record's fault: its re-drive waits."""

from types import SimpleNamespace

import pytest
import uuid_utils.compat as uuid

from app.datasets.parts import Format as DatasetFormat
from app.db import Pool
from app.limits import Limits
from app.redrives import run_mapping
from app.redrives.run_mapping import Mapper, map_records
from app.redrives.run_store import RunnableVersion, SourceRun
from app.redrives.trouble import MustWait
from app.resources import open_resources
from app.runs.model import Emit, RunStatus
from app.sandbox.outcomes import Io, OutOfMemory, ScriptKind
from app.sandbox.parts import Format
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT


async def test_records_are_not_marked_where_the_host_has_no_memory(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pool is not None
    script = uuid.uuid7()
    run = SourceRun(
        id=uuid.uuid7(),
        status=RunStatus.SUCCEEDED,
        script_id=script,
        version=1,
        format=Format.RECORDS,
        each=None,
        emit=Emit.ONE,
        publishes=True,
        params=None,
        labels={},
        seed=1,
        clock_ms=1,
        limits=Limits(wall_ms=1, max_cpu_ms=1, memory_bytes=1, max_output_bytes=1),
        output_dataset_id=uuid.uuid7(),
        output_dataset="out",
        output_format=DatasetFormat.JSONL,
        output_key=None,
        hash_seed=1,
        record_schema=None,
        weight=1,
    )
    version = RunnableVersion(
        script_id=script,
        name="s",
        version=1,
        source=b"",
        kinds=[ScriptKind.MAP],
        io=Io.JSON,
        input_schema=None,
        output_schema=None,
    )

    # Stands in for a sandbox on a host that is out of memory, which no test may be.
    async def stream(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(outcome=OutOfMemory(limit_bytes=1, evidence="", of_host=True))

    monkeypatch.setattr(run_mapping, "stream", stream)
    mapper = Mapper(tenant=TENANT, redrive_id=uuid.uuid7(), run=run, version=version)
    async with open_resources(settings, cells=1) as resources:
        with pytest.raises(MustWait, match="no memory left"):
            await map_records(resources, mapper, [b"{}", b"{}"], seconds=30.0)
