"""`crivo send --watch`: send the files of a directory that fills."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from msgspec import Struct

from crivo.cli.arguments import Service
from crivo.cli.exit_codes import UsageError
from crivo.cli.output import say
from crivo.cli.progress import transferring
from crivo.cli.send_hints import hint_at, reason_of
from crivo.dataset_models import Sent
from crivo.errors import (
    CrivoError,
    InvalidSource,
    NothingToSend,
    NotPublished,
    Refused,
    SendInProgress,
    TooManyRequests,
    Unavailable,
    UnexpectedResponse,
    Unreachable,
)
from crivo.folders import FileState, check_name, find_files
from crivo.options import SendOptions
from crivo.sync.client import Crivo

_STEP_SECONDS: Final = 1.0
# The next attempt, after a service could not be reached for longer than a send is patient.
_AWAY_SECONDS: Final = 10.0
_MAY_PASS: Final = (
    SendInProgress,
    TooManyRequests,
    Unavailable,
    UnexpectedResponse,
    Unreachable,
)
# Refusals that the next round heals: it begins another upload, or sends again what differs.
_NEXT_ROUND_HEALS: Final = frozenset(
    {"upload-not-found", "upload-committed", "part-differs", "commit-differs"}
)


class FilesRefused(CrivoError):
    """At least one file of a watched directory was not published."""


class FolderWatch:
    """A directory: which of its files have not changed for a while, and are not done."""

    def __init__(self, source: Path, *, include: tuple[str, ...], settle: float) -> None:
        """Have seen nothing yet."""
        self._source = source
        self._include = include
        self._settle = settle
        self._seen: dict[str, tuple[FileState, float]] = {}
        self._done: dict[str, FileState] = {}
        self.refused: set[str] = set()

    def settled(self, now: float) -> set[str]:
        """Return the files to send. By this clock, since those of files may differ from ours."""
        found = {
            each.name: each.state for each in find_files(self._source, include=self._include).files
        }
        self._seen = {
            name: (state, now)
            if name not in self._seen or self._seen[name][0] != state
            else self._seen[name]
            for name, state in found.items()
        }
        return {
            name
            for name, (state, since) in self._seen.items()
            if now - since >= self._settle and self._done.get(name) != state
        }

    def usable(self, names: set[str]) -> set[str]:
        """Leave out files that cannot be sent now; each is named once."""
        problems = {name: _problem_of(self._source / name, name) for name in names}
        unusable = {name for name, problem in problems.items() if problem is not None}
        for name in sorted(unusable - self.refused):
            say(f"{self._source / name}: error: {problems[name]}", style="bold red")
        self.refused |= unusable
        return names - unusable

    def finish(self, names: set[str]) -> None:
        """Do not send files again until they change."""
        self._done |= {name: self._seen[name][0] for name in names}
        self.refused -= names

    def refuse(self, names: set[str]) -> None:
        """Leave out files with bad lines until they change."""
        self.finish(names)
        self.refused |= names


class Target(Struct, frozen=True, kw_only=True):
    """Where the files of a directory are sent to, and how."""

    source: Path
    dataset: str
    key: str | None
    options: SendOptions
    service: Service

    def send(self, client: Crivo, names: set[str]) -> Sent:
        """Send some files, without those that an earlier run has sent. Raises CrivoError."""
        options = self.options.copy()
        options["only"], options["only_new"] = names, True
        with transferring("sending") as show:
            options["on_progress"] = show
            return client.datasets.send(self.source, self.dataset, key=self.key, **options)


def watch_folder(target: Target, *, settle: float) -> None:
    """Send files as they settle, until SIGINT or SIGTERM. Raises FilesRefused at the end."""
    source = target.source
    if not source.is_dir():
        raise UsageError(f"{source}: --watch needs a directory")
    include = tuple(target.options.get("include", ()))
    watch = FolderWatch(source, include=include, settle=settle)
    with target.service.client() as client, _sigterm_as_interrupt():
        say(f"crivo: watching {source}; Ctrl-C ends it")
        try:
            while True:
                names = watch.usable(watch.settled(time.monotonic()))
                # Portable, and on network file systems too, changes are only found by looking.
                time.sleep(_send_round(client, watch, target, names) if names else _STEP_SECONDS)
        except KeyboardInterrupt:
            say("crivo: ended; what is not published yet will be when it is started again")
    if watch.refused:
        refused = ", ".join(sorted(watch.refused))
        shown = refused.encode(errors="backslashreplace").decode()
        raise FilesRefused(f"not published: {shown}")


def _send_round(client: Crivo, watch: FolderWatch, target: Target, names: set[str]) -> float:
    """Publish files as a snapshot; return the pause before the next round."""
    try:
        sent = target.send(client, names)
    except NothingToSend:
        # An earlier run has sent them.
        watch.finish(names)
    except NotPublished as error:
        show_failure(target.source, error)
        watch.refuse({each.path for each in error.bad_lines})
    except _MAY_PASS as error:
        return _another_attempt(error)
    except Refused as error:
        if error.code not in _NEXT_ROUND_HEALS:
            raise
        return _another_attempt(error)
    else:
        watch.finish(names)
        target.service.output.document(sent, _described(sent))
    return _STEP_SECONDS


def _another_attempt(error: CrivoError) -> float:
    say(f"crivo: {error}; another attempt follows", style="red")
    return _AWAY_SECONDS


def _problem_of(path: Path, name: str) -> str | None:
    """Return why a file cannot be sent; None for one that has vanished, too."""
    try:
        check_name(name)
        path.open("rb").close()
    except InvalidSource:
        return "the name is not UTF-8; rename the file"
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None


def show_failure(source: Path, error: NotPublished) -> None:
    """Show where bad lines are, and which files have changed."""
    folder = source if source.is_dir() else source.parent
    for each in error.bad_lines:
        place = f"{folder / each.path}:{each.line}"
        byte = "" if each.byte is None else f" (byte {each.byte})"
        say(f"{place}: error: {reason_of(each)}{byte}", style="bold red")
    if error.bad_lines:
        first = error.bad_lines[0]
        if hint := hint_at(first, folder / first.path):
            say(f"crivo: {folder / first.path}: {hint}")
    for path in error.changed:
        say(f"{folder / path}: error: changed while it was sent", style="bold red")


def _described(sent: Sent) -> str:
    name = f"{sent.dataset}@{sent.snapshot.number}"
    return f"{name}  {sent.files} files, {sent.records} records, {sent.raw_bytes} bytes"


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM, with which supervisors end a process, as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
