"""`crivo pipes …`: put, list, show, pause and delete pipes, and send events to them."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt
from msgspec import DecodeError, json

from crivo.cli.arguments import Limit, Service
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import DEFAULT_LIMIT, page_size, say, write_json
from crivo.errors import TooLarge
from crivo.event_lines import SentLines
from crivo.pipe_models import Pipe

pipes = App(
    name="pipes", help="Create, show and delete pipes, and send events to them.", sort_key=11
)


@pipes.command(name="list")
def list_pipes(*, limit: Limit = DEFAULT_LIMIT, service: Service | None = None) -> None:
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
    file: Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)] = "-",
    /,
    *,
    from_line: PositiveInt = 1,
    idempotency_key: str | None = None,
    service: Service | None = None,
) -> None:
    """Send events, one a line of a file, or of the standard input.

    Parameters
    ----------
    file
        Lines of JSON; `-` is the standard input.
    from_line
        The first line to send: goes on where an earlier command has ended, which names it.
    idempotency_key
        The key that it names, too, if the lines after that one may be stored already.
    """
    service, sent = service or Service(), SentLines()
    with service.client() as client, _lines_of(file) as lines:
        try:
            client.pipes.send_lines(
                name, lines, from_line=from_line, idempotency_key=idempotency_key, sent=sent
            )
        except BaseException as error:
            if service.as_json:
                write_json(_sent_document(name, sent))
            elif from_line != sent.next_line or sent.unknown is not None:
                say(f"crivo: {_unsent(name, file, sent, from_line=from_line)}")
            if isinstance(error, TooLarge) and sent.next_line > 1 and not service.as_json:
                say(f"crivo: the line that is too large is counted from line {sent.next_line}")
            raise
    service.output.document(_sent_document(name, sent), f"{sent.accepted} events are stored")


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
        With the events and the dead letters that it still has, and with the Redis stream that it
        writes, unless another pipe reads or writes that.
    """
    service = service or Service()
    with service.client() as client:
        client.pipes.delete(name, erase=erase)
        service.output.document({"pipe": name, "deleted": True}, f"{name} is deleted")


@contextmanager
def _lines_of(file: str) -> Iterator[BinaryIO]:
    """Open the lines to send. Raises OSError."""
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as lines:
        yield lines


def _sent_document(name: str, sent: SentLines) -> dict[str, object]:
    return {
        "pipe": name,
        "accepted": sent.accepted,
        "next_line": sent.next_line,
        "unknown": sent.unknown,
    }


def _unsent(name: str, file: str, sent: SentLines, *, from_line: int) -> str:
    """Say which lines are stored, and how the command goes on."""
    stored = f"lines {from_line} to {sent.next_line - 1} are stored"
    facts = [stored if sent.next_line > from_line else "no line is known to be stored"]
    command = ["crivo", "pipes", "send", name, file, "--from-line", str(sent.next_line)]
    if sent.unknown is not None:
        facts.append(f"{sent.unknown.first} to {sent.unknown.last} may be")
        command += ["--idempotency-key", sent.unknown.idempotency_key]
    return f"{', '.join(facts)}; `{shlex.join(command)}` goes on, and stores nothing twice"


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
