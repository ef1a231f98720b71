"""Run a script on a sample in this process's own sandbox, and store nothing."""

import secrets
import time

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.auth.callers import Caller
from app.check_turns import check_turn
from app.console_documents import logs_document
from app.errors import invalid
from app.execution_errors import failure_of
from app.limits import MAX_SAMPLE_OUTPUT_BYTES, MAX_SEED, LimitChoice, Limits
from app.losses import warnings_document
from app.payloads.model import reference_to
from app.resources import Resources
from app.sandbox.outcomes import (
    Context,
    Crashed,
    Io,
    Job,
    Limits as SandboxLimits,
    Report,
    Succeeded,
)
from app.sandbox.schema_checks import Checks
from app.schemas.checks import describe_schema, load_checks
from app.schemas.pinned import SchemaVersionRef
from app.scripts.model import Sample, SampleReceipt
from app.scripts.params import NO_PARAMS
from app.scripts.version_schemas import NO_SCHEMAS, VersionSchemas
from app.settings import Settings


async def run_sample(  # noqa: PLR0913 - one keyword for each part of the request
    resources: Resources,
    caller: Caller,
    source: bytes,
    *,
    sample: bytes,
    params: bytes | None,
    limits: LimitChoice,
    seed: int | None,
    io: Io = Io.JSON,
    schemas: VersionSchemas = NO_SCHEMAS,
) -> Sample:
    """Run a source on a sample as an execution would. Raises CheckBusy, TooManyChecks.

    Limits are at most an execution's defaults, since other uploads wait meanwhile.
    """
    in_force = limits_of_sample(resources.settings, limits)
    checks = await load_checks(resources, caller.tenant, input=schemas.input, output=schemas.output)
    job = job_of_sample(
        source,
        tenant=str(caller.tenant),
        params=params,
        limits=in_force,
        seed=seed,
        io=io,
        checks=checks,
    )
    report, output = await _run(resources, caller, job, sample)
    if isinstance(report.outcome, Crashed):
        # As for executions: a crash without evidence of an exceeded limit is retried once.
        report, output = await _run(resources, caller, job, sample)
    return sample_of(
        job,
        report,
        sample=sample,
        params=params,
        output=output,
        limits=in_force,
        v8_version=resources.sandbox.v8_version,
        input_schema=await describe_schema(resources, caller.tenant, schemas.input),
        output_schema=await describe_schema(resources, caller.tenant, schemas.output),
    )


def decode_sample(sample: Raw) -> bytes:
    """Return the bytes of a sample that is base64. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(sample, type=bytes)
    except msgspec.DecodeError:
        message = "is no string of base64, which a sample is if the script takes bytes"
        raise invalid("/sample", message) from None


def job_of_sample(
    source: bytes,
    *,
    tenant: str,
    params: bytes | None,
    limits: Limits,
    seed: int | None,
    io: Io = Io.JSON,
    checks: Checks | None = None,
) -> Job:
    """Make the job of a run that is not stored; without a seed, it gets a random one."""
    return Job(
        tenant=tenant,
        source=source,
        seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
        clock_ms=time.time_ns() // 1_000_000,
        limits=SandboxLimits(
            wall_ms=limits.wall_ms,
            cpu_ms=limits.max_cpu_ms,
            memory_bytes=limits.memory_bytes,
            output_bytes=limits.max_output_bytes,
        ),
        context=Context(params=NO_PARAMS if params is None else params.decode()),
        io=io,
        checks=checks,
    )


def sample_of(  # noqa: PLR0913 - one keyword for each part of the receipt
    job: Job,
    report: Report,
    *,
    sample: bytes,
    params: bytes | None,
    output: bytes,
    limits: Limits,
    v8_version: str,
    input_schema: SchemaVersionRef | UnsetType = UNSET,
    output_schema: SchemaVersionRef | UnsetType = UNSET,
) -> Sample:
    """Describe a run that is not stored, as an execution would be described."""
    failure = failure_of(report.outcome)
    is_bytes = job.io is Io.BYTES
    media_type = report.outcome.media_type if isinstance(report.outcome, Succeeded) else None
    receipt = SampleReceipt(
        source=reference_to(job.source),
        input=reference_to(sample, media_type=job.media_type if is_bytes else None),
        params=None if params is None else reference_to(params),
        output=reference_to(output, media_type=media_type) if failure is None else None,
        seed=job.seed,
        clock_ms=job.clock_ms,
        v8_version=v8_version,
        isolation=report.isolation,
        limits=limits,
        run_ms=report.usage.run_ms,
        cpu_ms=report.usage.cpu_ms,
        peak_memory_bytes=report.usage.peak_memory_bytes,
        input_schema=input_schema,
        output_schema=output_schema,
    )
    logs = Raw(logs_document(report))
    if failure is None:
        warnings = warnings_document(report)
        return Sample(
            status="succeeded",
            result=Raw(msgspec.json.encode(output) if is_bytes else output),
            warnings=UNSET if warnings is None else Raw(warnings),
            logs=logs,
            receipt=receipt,
        )
    return Sample(status="failed", error=Raw(failure.document()), logs=logs, receipt=receipt)


async def _run(
    resources: Resources, caller: Caller, job: Job, sample: bytes
) -> tuple[Report, bytes]:
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    async with check_turn(resources, caller):
        report = await resources.sandbox.run(job, payload=sample, sink=sink)
    return report, bytes(output)


def limits_of_sample(settings: Settings, chosen: LimitChoice) -> Limits:
    """Return the chosen limits, at most an execution's defaults."""
    return Limits(
        wall_ms=min(chosen.wall_ms or settings.default_wall_ms, settings.default_wall_ms),
        max_cpu_ms=min(
            chosen.max_cpu_ms or settings.default_wall_ms,
            settings.default_wall_ms,
            settings.max_cpu_ms,
        ),
        memory_bytes=min(
            chosen.memory_bytes or settings.default_memory_bytes, settings.default_memory_bytes
        ),
        max_output_bytes=min(
            chosen.max_output_bytes or MAX_SAMPLE_OUTPUT_BYTES,
            settings.max_output_bytes,
            MAX_SAMPLE_OUTPUT_BYTES,
        ),
    )
