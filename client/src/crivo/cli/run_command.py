"""`crivo run`: run a script over a document or over a dataset, and print the result."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from mimetypes import guess_type
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from cyclopts import Parameter
from msgspec import UNSET

from crivo.bodies import Data
from crivo.cli.arguments import LimitFlags, SendService, Service, SubmitFlags
from crivo.cli.dataset_run import run_over_dataset
from crivo.cli.diagnostics import show_error, show_warnings
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import say, write_bytes, write_json
from crivo.cli.progress import downloading, uploading, waiting
from crivo.cli.run_flags import RunFlags
from crivo.errors import ExecutionFailed, Refused, StillRunning, Unreachable
from crivo.execution_flows import require_success
from crivo.models import Execution
from crivo.sync.client import Crivo

_CHUNK_BYTES: Final = 256 * 1024


def run(  # noqa: PLR0913 - one keyword for each group of options
    script: str,
    file: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    media_type: str | None = None,
    over: RunFlags | None = None,
    detach: Annotated[bool, Parameter(show_default=False)] = False,
    timeout: float | None = None,
    submit: SubmitFlags | None = None,
    limits: LimitFlags | None = None,
    service: SendService | None = None,
) -> None:
    """Run a script over a JSON file, or over a whole dataset, and print the result's exact bytes.

    With --dataset or --file, records, lines or chunks are streamed through `map` or a fold, in
    parts that run at the same time. Without a fold, the published snapshot is printed.

    Parameters
    ----------
    script
        A reference such as `cards`, `cards@3` or `cards@prod`.
    file
        One document, or the bytes of a version over bytes; `-` is standard input.
    media_type
        That of FILE; by default by its name, such as `image/png`, or else `application/json`.
    detach
        Print the id of the execution or run, and do not wait for it.
    timeout
        Seconds to wait for the result; by default until there is one.
    """
    service, over = service or SendService(), over or RunFlags()
    options = (submit or SubmitFlags()).options(limits or LimitFlags())
    if over.names_dataset:
        if file is not None:
            raise UsageError(f"{file}: is one document; leave it out, or --dataset and --file")
        if media_type is not None:
            raise UsageError("--media-type: is that of a FILE, which is missing")
        run_over_dataset(script, over, options, detach=detach, timeout=timeout, service=service)
        return
    over.refuse_all_but_key()
    if file is None:
        raise UsageError("name a FILE with one document, or a --dataset or --file to stream")
    media_type = media_type or guess_type(file)[0]
    if over.pointer is not None:
        # Of a document it has always been the API key.
        service = replace(service, key=over.pointer)
    with service.client() as client:
        with opened(file) as data:
            queued = client.executions.submit(script, data, media_type=media_type, **options)
        if detach:
            service.output.document(queued, str(queued.id))
            return
        try:
            with waiting(f"execution {queued.id}"):
                execution = client.executions.wait(queued.id, timeout=timeout)
            print_outcome(client, execution, service, data=file)
        except (KeyboardInterrupt, StillRunning, Refused, Unreachable):
            say(
                f"crivo: execution {queued.id} goes on; `crivo watch {queued.id}` follows it, "
                f"`crivo executions result {queued.id}` prints its result, "
                f"`crivo executions cancel {queued.id}` ends it"
            )
            raise


def print_outcome(
    client: Crivo, execution: Execution, service: Service, *, data: str = "input"
) -> None:
    """Print the result of a finished execution. Raises NoResult, and shows an error before."""
    name = f"{execution.script.name}@{execution.script.version}"
    try:
        require_success(execution)
    except ExecutionFailed:
        if execution.error is not None and not service.as_json:
            show_error(name, execution.error, data=data)
        raise
    if service.as_json:
        write_json(execution)
        return
    show_warnings(name, execution.warnings or [])
    if execution.result is not UNSET:
        write_bytes(iter([bytes(execution.result)]))
        return
    output = None if execution.receipt is None else execution.receipt.output
    chunks = client.executions.result_chunks(execution.id)
    write_bytes(downloading(chunks, None if output is None else output.bytes))


@contextmanager
def opened(file: str) -> Iterator[Data]:
    """Open the data of a run. Raises UsageError if there is none, and OSError."""
    if file == "-":
        yield _standard_input()
        return
    path = Path(file)
    if path.is_dir():
        raise UsageError(f"{file}: is a folder")
    with path.open("rb") as content:
        size = path.stat().st_size if path.is_file() else None
        if size == 0:
            raise UsageError(f"{file}: is empty, which is no JSON")
        with uploading(content, size) as reader:
            yield reader


def _standard_input() -> Data:
    if sys.stdin.isatty():
        say("crivo: reading data from the terminal; Ctrl-D ends it")
    reader: BinaryIO = sys.stdin.buffer
    first = _read(reader)
    if not first:
        raise UsageError("-: standard input is empty, which is no JSON")
    return chain([first], iter(lambda: _read(reader), b""))


def _read(reader: BinaryIO) -> bytes:
    # What has arrived, so that a slow producer does not hold it back.
    read1 = getattr(reader, "read1", reader.read)
    content: bytes = read1(_CHUNK_BYTES)
    return content
