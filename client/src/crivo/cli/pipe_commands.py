"""`crivo pipes …`: put, list, show, pause and delete pipes, and send events to them."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from msgspec import DecodeError, json

from crivo.cli.arguments import Limit, Service
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import page_size
from crivo.pipe_models import Pipe

pipes = App(
    name="pipes", help="Create, show and delete pipes, and send events to them.", sort_key=11
)


@pipes.command(name="list")
def list_pipes(*, limit: Limit = 20, service: Service | None = None) -> None:
    """List pipes, newest first."""
    service = service or Service()
    with service.client() as client:
        found = client.pipes.list(page_size=page_size(limit))
        service.output.items(
            ("name", "state", "lag", "in", "forwarded", "refused", "letters", "in/s", "trouble"),
            found,
            _cells,
            limit=limit,
            drop=("in/s", "in", "lag", "refused"),
        )


@pipes.command
def show(name: str, /, *, service: Service | None = None) -> None:
    """Show a pipe, and how it is doing."""
    service = service or Service()
    with service.client() as client:
        _say(service, client.pipes.show(name))


@pipes.command
def put(
    name: str,
    file: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    service: Service | None = None,
) -> None:
    """Create a pipe, or change it, by a definition in a JSON file.

    Parameters
    ----------
    file
        Such as `{"from": {"http": {}}, "schema": "orders@prod", "to": {"dataset": {"dataset":
        "clean"}}}`.
    """
    service = service or Service()
    try:
        definition = json.decode(file.read_bytes(), type=dict)
    except (OSError, DecodeError) as error:
        raise UsageError(f"{file}: {error}") from None
    with service.client() as client:
        _say(service, client.pipes.put(name, definition))


@pipes.command
def send(
    name: str,
    file: Annotated[Path | None, Parameter(name="FILE")] = None,
    /,
    *,
    service: Service | None = None,
) -> None:
    """Send events, one a line of a file, or of the standard input.

    Parameters
    ----------
    file
        Lines of JSON.
    """
    service = service or Service()
    with service.client() as client:
        if file is None:
            sent = client.pipes.send_lines(name, sys.stdin.buffer)
        else:
            try:
                lines = file.open("rb")
            except OSError as error:
                raise UsageError(f"{file}: {error.strerror}") from None
            with lines:
                sent = client.pipes.send_lines(name, lines)
        service.output.document({"pipe": name, "accepted": sent}, f"{sent} events are stored")


@pipes.command
def pause(name: str, /, *, service: Service | None = None) -> None:
    """Pause a pipe after its batch."""
    service = service or Service()
    with service.client() as client:
        _say(service, client.pipes.pause(name))


@pipes.command
def resume(name: str, /, *, service: Service | None = None) -> None:
    """Let a pipe go on."""
    service = service or Service()
    with service.client() as client:
        _say(service, client.pipes.resume(name))


@pipes.command
def delete(
    name: str,
    /,
    *,
    erase: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """Delete a pipe.

    Parameters
    ----------
    erase
        With the events and the dead letters that it still has.
    """
    service = service or Service()
    with service.client() as client:
        client.pipes.delete(name, erase=erase)
        service.output.document({"pipe": name, "deleted": True}, f"{name} is deleted")


def _say(service: Service, pipe: Pipe) -> None:
    lag = "unknown" if pipe.lag.events is None else pipe.lag.events
    trouble = "" if pipe.trouble is None else f": {pipe.trouble}"
    parts = [json.encode(pipe.source).decode()]
    if pipe.schema is not None:
        by = pipe.schema if isinstance(pipe.schema, str) else json.encode(pipe.schema).decode()
        parts.append(f"schema {by}")
    if pipe.script is not None:
        parts.append(f"script {pipe.script}")
    parts.append(json.encode(pipe.sink).decode())
    text = (
        f"{pipe.name}  {pipe.state}{trouble}\n"
        f"  {' → '.join(parts)}\n"
        f"  waiting {lag}, read {pipe.counts.received} ({pipe.rates.received:g}/s), "
        f"forwarded {pipe.counts.forwarded} (and by re-drives: `crivo redrives list --pipe "
        f"{pipe.name}`), refused {pipe.counts.refused}, "
        f"dead letters {pipe.dead_letters}"
    )
    service.output.document(pipe, text)


def _cells(pipe: Pipe) -> tuple[str, ...]:
    counts = pipe.counts
    return (
        pipe.name,
        pipe.state,
        "?" if pipe.lag.events is None else str(pipe.lag.events),
        str(counts.received),
        str(counts.forwarded),
        str(counts.refused),
        str(pipe.dead_letters),
        f"{pipe.rates.received:g}",
        pipe.trouble or "",
    )
