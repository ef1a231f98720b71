"""`crivo dead-letters …`: list, show, download and erase events that pipes could not forward."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, cast

from cyclopts import App, Group, Parameter

from crivo.cli.arguments import Limit, Service, pointer_argument
from crivo.cli.diagnostics import show_error
from crivo.cli.error_kinds import ErrorKind
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import DEFAULT_LIMIT, page_size, say, write_bytes
from crivo.errors import CrivoError
from crivo.letter_models import DeadLetter, DeadLetterWithEvent
from crivo.options import LetterFilter

letters = App(name="dead-letters", help="List, show, download and erase dead letters.", sort_key=12)

_FILTERS: Final = Group("Filters", sort_key=1)


class NotALine(CrivoError):
    """An event has a line feed, so that a line cannot hold it."""


@Parameter(name="*", group=_FILTERS)
@dataclass(frozen=True, kw_only=True)
class LetterFlags:
    """Conditions on dead letters; all of them apply."""

    pipe: Annotated[str | None, Parameter(help="Only those of a pipe.")] = None
    kind: Annotated[
        ErrorKind | None,
        Parameter(help="Only those that have failed in this way, at first or last."),
    ] = None
    state: Annotated[
        str | None,
        Parameter(help="Only dead, moved, dropped or erased ones; `all` of a list or a download."),
    ] = None
    schema: Annotated[str | None, Parameter(help="Only those that events@3 refused.")] = None
    script: Annotated[str | None, Parameter(help="Only those that clean@7 failed on.")] = None
    pointer: Annotated[
        str | None, Parameter(help="Only those with a schema error at a JSON pointer.")
    ] = None
    since: Annotated[
        datetime | None, Parameter(help="Only those that failed first since a time.")
    ] = None
    until: Annotated[
        datetime | None, Parameter(help="Only those that failed first before a time.")
    ] = None

    def filters(self) -> LetterFilter:
        """Return the conditions that were given."""
        given = {
            "pipe": self.pipe,
            "kind": self.kind,
            "state": self.state,
            "schema": self.schema,
            "script": self.script,
            "pointer": pointer_argument("--pointer", self.pointer),
            "failed_from": self.since and self.since.astimezone(),
            "failed_before": self.until and self.until.astimezone(),
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return cast("LetterFilter", chosen)


@letters.command(name="list")
def list_letters(
    *,
    limit: Limit = DEFAULT_LIMIT,
    flags: LetterFlags | None = None,
    service: Service | None = None,
) -> None:
    """List dead letters, newest first, in all states unless --state names one."""
    service = service or Service()
    filters = (flags or LetterFlags()).filters()
    with service.client() as client:
        found = client.dead_letters.list(page_size=page_size(limit), **filters)
        service.output.items(
            ("id", "pipe", "state", "kind", "failed", "attempts", "schema", "script", "error"),
            found,
            _cells,
            limit=limit,
            drop=("attempts", "script", "schema", "pipe", "failed"),
        )


@letters.command
def show(
    letter: str,
    /,
    *,
    event: Annotated[bool, Parameter(show_default=False)] = False,
    service: Service | None = None,
) -> None:
    """Show a dead letter: why, how often and when, or the exact bytes of its event.

    Parameters
    ----------
    letter
        The id.
    event
        Print the event, and nothing else.
    """
    service = service or Service()
    with service.client() as client:
        if event:
            write_bytes(iter([client.dead_letters.event(letter)]))
            return
        found = client.dead_letters.show(letter)
    service.output.facts(found, _facts(found))
    if not service.as_json:
        show_error(found.script or found.pipe, found.error)
        if found.last_failure is not None:
            say("crivo: the last re-drive has failed at it, too:")
            show_error(found.last_failure.script or found.pipe, found.last_failure.error)


@letters.command
def download(
    *,
    full: Annotated[bool, Parameter(show_default=False)] = False,
    flags: LetterFlags | None = None,
    service: Service | None = None,
) -> None:
    """Print the events of dead letters that match, the oldest first, each as a line.

    They are those that are dead, or in the --state that is named: `all` is any. Erased events are
    left out. An event with a line feed ends it with an error: use --full.

    Parameters
    ----------
    full
        Print the letters with their reasons, as lines of JSON.
    """
    service = service or Service()
    filters = (flags or LetterFlags()).filters()
    with service.client() as client:
        if full or service.as_json:
            write_bytes(client.dead_letters.download_lines(**filters))
        else:
            write_bytes(_lines(client.dead_letters.download(**filters)))


@letters.command
def erase(
    letter: str | None = None,
    /,
    *,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    flags: LetterFlags | None = None,
    service: Service | None = None,
) -> None:
    """Erase the event of a dead letter for good, or those of all that match.

    Parameters
    ----------
    letter
        The id; without it, those that match the filters, of which there must be one.
    yes
        Erase; without it nothing is.
    """
    service = service or Service()
    filters = (flags or LetterFlags()).filters()
    if (letter is None) == (not filters):
        raise UsageError("name either a dead letter or filters, such as --pipe")
    if not yes:
        which = "all dead letters that match" if letter is None else f"dead letter {letter}"
        raise UsageError(f"nothing is erased; with --yes the bytes of {which} are, for good")
    with service.client() as client:
        if letter is None:
            erased = client.dead_letters.erase_all(**filters)
        else:
            client.dead_letters.erase(letter)
            erased = 1
    service.output.document({"erased": erased}, f"{erased} erased")


def _lines(found: Iterable[DeadLetterWithEvent]) -> Iterator[bytes]:
    for each in found:
        content = each.content
        if content is None:
            continue
        if b"\n" in content:
            raise NotALine(f"the event of {each.id} has a line feed; use --full for all events")
        yield content + b"\n"


def _cells(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.id,
        letter.pipe,
        letter.state,
        letter.kind,
        letter.last_failed_at,
        letter.attempts,
        letter.schema,
        letter.script,
        letter.error.message,
    )


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "pipe": letter.pipe,
        "event": letter.event_id,
        "bytes": letter.event_bytes,
        "state": letter.state,
        "kind": letter.kind,
        "schema": letter.schema,
        "script": letter.script,
        "attempts": letter.attempts,
        "first failed": letter.first_failed_at,
        "last failed": letter.last_failed_at,
        "moved": letter.moved_at,
        "dropped": letter.dropped_at,
        "redrive": letter.redrive,
        "erased": letter.erased_at,
    }
