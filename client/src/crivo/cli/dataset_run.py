"""`crivo run --dataset` and `--file`: run a script over a whole dataset."""

from msgspec import UNSET

from crivo.cli.arguments import Service
from crivo.cli.diagnostics import show_error
from crivo.cli.output import say, say_json, write_bytes, write_json, write_line
from crivo.cli.progress import downloading
from crivo.cli.run_flags import RunFlags
from crivo.cli.run_upload import send_file
from crivo.cli.run_view import following
from crivo.errors import NotFinished, Refused, RunFailed, Unreachable
from crivo.options import SubmitOptions
from crivo.run_flows import require_success
from crivo.run_models import FailedRecord, Run
from crivo.sync.client import Crivo


def run_over_dataset(
    script: str,
    flags: RunFlags,
    submit: SubmitOptions,
    *,
    detach: bool,
    timeout: float | None,
    service: Service,
) -> None:
    """Run a script over a dataset, and print the fold's result, or else what was published."""
    options = flags.options(submit)
    with service.client() as client:
        dataset = flags.dataset or ""
        if flags.upload is not None:
            # Before gigabytes are sent.
            client.scripts.show(script)
            dataset = send_file(client, flags.upload, flags, service)
        queued = client.runs.submit(script, dataset, **options)
        if detach:
            service.output.document(queued, str(queued.id))
            return
        found = wait_for_run(client, str(queued.id), timeout=timeout, service=service)
        print_run(client, found, service, with_errors=flags.errors)


def wait_for_run(client: Crivo, run: str, *, timeout: float | None, service: Service) -> Run:
    """Wait for the end of a run, and show its progress. Raises NotFinished."""
    try:
        with following(run, is_silent=service.as_json) as show:
            return client.runs.wait(run, timeout=timeout, on_progress=show)
    except (KeyboardInterrupt, NotFinished, Refused, Unreachable):
        say(
            f"crivo: run {run} goes on; `crivo runs result {run}` waits for its result, "
            f"`crivo runs show {run}` shows its progress, "
            f"`crivo runs cancel {run}` ends it"
        )
        raise


def print_run(client: Crivo, run: Run, service: Service, *, with_errors: bool = False) -> None:
    """Print the result of a finished run. Raises RunFailed, RunCancelled, and shows errors."""
    if with_errors:
        for record in client.runs.errors(run.id, excerpt=True):
            if service.as_json:
                say_json(record)
            else:
                _show_record(run, record)
    try:
        require_success(run)
    except RunFailed:
        if not service.as_json:
            show_run_error(run)
        raise
    if service.as_json:
        write_json(run)
        return
    if run.progress.rows_failed and not with_errors:
        say(
            f"crivo: {run.progress.rows_failed:,} of {run.progress.rows_in:,} records failed; "
            f"`crivo runs errors {run.id}` lists them"
        )
    _print_result(client, run)


def _print_result(client: Crivo, run: Run) -> None:
    """Print the result of the fold, or else the snapshot that the run has published."""
    if run.result_url is None:
        if run.published is not None:
            write_line(str(run.published))
        return
    if run.published is not None:
        say(f"crivo: published {run.published}")
    if run.result is not UNSET:
        write_bytes(iter([bytes(run.result)]))
        return
    size = None if run.receipt is None or run.receipt.result is None else run.receipt.result.bytes
    write_bytes(downloading(client.runs.result_chunks(run.id), size))


def show_run_error(run: Run) -> None:
    """Show why a run has failed, and where in the input."""
    error = run.error
    if error is None:
        return
    place = "input" if error.path is None else f"{error.path}:{error.input_line}"
    name = run.reference if error.path is None else f"{place}: {run.reference}"
    show_error(name, error, data=place)


def _show_record(run: Run, record: FailedRecord) -> None:
    show_error(f"{record.place}: {run.reference}", record.error, data=record.place)
    if record.excerpt is not None:
        say(f"  {record.excerpt}")
