"""Progress bars on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    wrap_file,
)

from crivo.cli.output import terminal

T = TypeVar("T")

# Less is sent before anybody could read the bar.
_MIN_SHOWN_BYTES: Final = 1024 * 1024


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show that something is waited for, and for how long."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=terminal(), transient=True, disable=_is_silent()) as progress:
        progress.add_task(text, total=None)
        yield


@contextmanager
def uploading(file: BinaryIO, size: int | None) -> Iterator[BinaryIO]:
    """Show how much of a file has been read."""
    if size is None or size < _MIN_SHOWN_BYTES or _is_silent():
        yield file
        return
    with wrap_file(
        file, size, description="uploading", console=terminal(), transient=True
    ) as reader:
        yield reader


@contextmanager
def counting(
    text: str, total: int, count: Callable[[T], int]
) -> Iterator[Callable[[T], None] | None]:
    """Show how many of a known number are done in each state; None: nobody looks."""
    if _is_silent():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=terminal(), transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda state: progress.update(task, completed=count(state))


@contextmanager
def transferring(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many bytes of several files are done, the rate, and the time that is left."""
    columns = (TextColumn(text), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(
        *columns, TimeRemainingColumn(), console=terminal(), transient=True, disable=_is_silent()
    )
    with bar as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def downloading(chunks: Iterator[bytes], size: int | None) -> Iterator[bytes]:
    """Show how much has arrived."""
    # On one terminal, a bar and the bytes themselves would overwrite each other.
    if size is None or size < _MIN_SHOWN_BYTES or _is_silent() or sys.stdout.isatty():
        yield from chunks
        return
    columns = (TextColumn("downloading"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=terminal(), transient=True) as progress:
        task = progress.add_task("", total=size)
        for chunk in chunks:
            progress.advance(task, len(chunk))
            yield chunk


def _is_silent() -> bool:
    return not terminal().is_terminal
