"""Check a script and run it on files in the sandbox of this machine, without any server.

python -m app.cli.trial SCRIPT, for `crivo test --local`: standard input has a JSON document a
line, `{"input": PATH}`, and so has standard output: first the findings about the
script, then the outcome of each input, shaped like a sample of `POST /scripts/check`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.environment import load_settings
from app.errors import CrivoError
from app.limits import LimitChoice
from app.lint.client import open_lint_client
from app.lint.diagnostics import Code
from app.payloads.reader import single_chunk
from app.resources import require_seccomp, sandbox_config
from app.sandbox.outcomes import Finding
from app.sandbox.pool import SandboxPool, SandboxUnavailable, open_pool
from app.scripts.advice import advise
from app.scripts.findings import merge
from app.scripts.model import Sample
from app.scripts.samples import job_of_sample, limits_of_sample, sample_of
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT

_TENANT: Final = "trial"


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run: the path of its input."""

    input: str


class Findings(Struct, frozen=True, kw_only=True):
    """The findings about the script; with errors, no input is run."""

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def main(arguments: list[str]) -> int:
    """Run the trial; return 0 if it is done, 2 if it cannot be tried."""
    (script,) = arguments
    try:
        asyncio.run(_try(load_settings(), Path(script).read_bytes()))
    except (SandboxUnavailable, CrivoError, OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


async def _try(settings: Settings, source: bytes) -> None:
    async with open_pool(sandbox_config(settings, cells=1)) as sandbox:
        require_seccomp(sandbox, settings)
        findings = await _check(sandbox, source)
        _write(findings)
        if findings.errors:
            return
        async for case in _cases():
            _write(await _run(sandbox, settings, source, case))


async def _check(sandbox: SandboxPool, source: bytes) -> Findings:
    """Find what an upload would find."""
    examined = await sandbox.examine(source, tenant=_TENANT)
    async with open_lint_client(max_waiting=1, max_waiting_of_tenant=1) as linter:
        report = await linter.lint(source, tenant=DEFAULT_TENANT, weight=1)
    findings = merge(examined, report, source)
    errors = [each for each in findings if not Code(each.code).is_warning]
    return Findings(
        errors=advise(errors, source),
        warnings=tuple(each for each in findings if Code(each.code).is_warning),
    )


async def _run(sandbox: SandboxPool, settings: Settings, source: bytes, case: Case) -> Sample:
    data = await asyncio.to_thread(Path(case.input).read_bytes)
    limits = limits_of_sample(settings, LimitChoice())
    job = job_of_sample(source, tenant=_TENANT, params=None, limits=limits, seed=None)
    output = bytearray()

    async def sink(chunk: bytes) -> None:
        output.extend(chunk)

    report = await sandbox.run(job, payload=single_chunk(data), sink=sink)
    return sample_of(
        job,
        report,
        sample=data,
        params=None,
        output=bytes(output),
        limits=limits,
        v8_version=sandbox.v8_version,
    )


async def _cases() -> AsyncIterator[Case]:
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        yield msgspec.json.decode(line, type=Case)


def _write(document: Findings | Sample) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
